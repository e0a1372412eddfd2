"""Commissioning: a site earns control, device by device, by proving that it measures and obeys as its file says."""
