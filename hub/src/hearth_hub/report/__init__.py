"""One home over a span, in numbers."""
