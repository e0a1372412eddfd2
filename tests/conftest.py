"""What every test shares."""

import os

import pytest

# several numeric threads on two cores fight each other: a fit of half a second then takes twelve
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's tests last: Playwright keeps an event loop running, and no other can start beside it."""
    items.sort(key=lambda item: "e2e" in item.path.parts)
