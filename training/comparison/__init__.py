"""Checkpoints side by side on the same splits."""
