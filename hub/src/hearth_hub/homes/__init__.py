"""Homes and their devices."""
