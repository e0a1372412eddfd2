"""The spool: every reading is on this disk before anybody is told of it."""
