"""Libraries that run a network, behind one protocol."""
