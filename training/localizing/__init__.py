"""Whether heat maps point at tumours."""
