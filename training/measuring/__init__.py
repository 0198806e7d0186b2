"""How good weights are, and how that is told."""
