"""Hearth's hub: it stores what every home measured, learns, plans, and shows it."""
