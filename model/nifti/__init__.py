"""NIfTI volumes to slices."""
