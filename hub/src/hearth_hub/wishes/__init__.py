"""The owner's own wishes and the grid operator's limits, on their way to a home."""
