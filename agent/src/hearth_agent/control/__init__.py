"""Control: a pure step a second, and the leases that carry its orders to the devices."""
