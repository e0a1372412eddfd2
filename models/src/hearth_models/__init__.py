"""Hearth's forecasting and planning: pure functions of arrays, the same on the hub and in the home."""
