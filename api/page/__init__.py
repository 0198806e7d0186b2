"""The page for people: its static files."""
