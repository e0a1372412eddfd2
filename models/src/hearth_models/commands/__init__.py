"""Commands of ``hearth-models`` that have a module of their own."""
