"""The uplink: from the spool to the hub over MQTT, until the hub says that it has stored it."""
