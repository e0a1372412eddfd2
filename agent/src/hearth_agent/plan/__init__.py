"""Plans: which one this home believes, and why it refused the others."""
