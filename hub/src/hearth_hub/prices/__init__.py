"""Day-ahead prices and what they mean to a home."""
