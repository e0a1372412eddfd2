"""What the hub does by itself: roll up, price, plan, learn and reckon."""
