"""Tariffs at work: prices of each step for the planner, demand charges, and the invoice of a span."""

from hearth_models.tariffs.bill import Bill, Line, bill
from hearth_models.tariffs.metered import Metered
from hearth_models.tariffs.prices import TariffError, prices
from hearth_models.tariffs.read import read_tariff
from hearth_models.tariffs.seen import seen, seen_from
from hearth_models.tariffs.so_far import SoFar

__all__ = ["Bill", "Line", "Metered", "SoFar", "TariffError", "bill", "prices", "read_tariff", "seen", "seen_from"]
