"""Heatmaps checked against boxes drawn by experts."""
