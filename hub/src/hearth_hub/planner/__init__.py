"""Plans on request: whoever brings a whole problem gets its plan."""
