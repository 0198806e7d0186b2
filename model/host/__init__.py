"""The machine: cores, memory allocator, files."""
