"""Simulated shifts and their effect on predictions."""
