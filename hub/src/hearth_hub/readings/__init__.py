"""Measured power and energy: now, over time, and live."""
