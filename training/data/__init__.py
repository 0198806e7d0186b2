"""Scans, who belongs together, and who is trained on."""
