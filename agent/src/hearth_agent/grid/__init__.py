"""Limits of the grid operator: where they come from, how long they hold, and the log that proves it."""
