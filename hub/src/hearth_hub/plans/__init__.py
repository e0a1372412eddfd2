"""Plans: made by the worker, signed, kept and shown."""
