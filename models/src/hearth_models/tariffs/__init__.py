"""Tariffs at work: prices of each step for the planner, demand charges, and the invoice of a span."""

from hearth_models.tariffs.prices import prices
from hearth_models.tariffs.read import read_tariff
from hearth_models.tariffs.so_far import SoFar

__all__ = ["SoFar", "prices", "read_tariff"]
