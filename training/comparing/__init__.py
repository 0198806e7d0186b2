"""Several checkpoints on the same scans."""
