"""Copies and shortcuts in a data set."""
