"""The HTTP service; knows no tensor, no class name and no file format of weights."""
