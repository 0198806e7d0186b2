"""Making, measuring and documenting checkpoints; never part of the serving image."""
