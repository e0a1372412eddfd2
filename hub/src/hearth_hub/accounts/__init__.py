"""Where every produced reading went."""
