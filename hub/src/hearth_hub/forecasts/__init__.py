"""What agents expect of their homes, and how right they were."""
