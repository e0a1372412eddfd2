"""What homes say becomes rows: MQTT -> one transaction -> acknowledgement."""
