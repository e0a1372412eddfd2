"""Hearth's agent in the home: reads devices, keeps every reading, forecasts and steers."""

__version__ = "0.1.0"
