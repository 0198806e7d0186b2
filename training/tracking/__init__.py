"""Records of runs in MLflow and Weights & Biases, each only where it is asked for."""
