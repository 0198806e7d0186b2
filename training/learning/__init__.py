"""A network that learns from batches of scans: its start, data, losses and steps."""
