"""Heatmaps, overlays and synthetic images."""
