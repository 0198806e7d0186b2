"""Encoded raster images: formats, bounds on their structure, decoding."""
