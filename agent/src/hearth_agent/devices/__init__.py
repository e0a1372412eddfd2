"""Devices: register profiles as data, one task a device, and what was measured last."""
