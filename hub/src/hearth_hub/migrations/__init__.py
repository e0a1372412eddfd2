"""The schema's history, run by `hearth-hub migrate`."""
