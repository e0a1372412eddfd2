"""Health and clock."""
