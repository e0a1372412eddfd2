"""Forecasts of load and PV on the spot, made in a bounded child process."""
