"""The commands of `python -m model`: files to rows."""
