"""The demo: one command that brings a whole home to life, and one that measures how it lived."""
