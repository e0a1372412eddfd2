"""The ledger: what a day cost, and what it would have cost otherwise."""
