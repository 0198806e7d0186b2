"""Where else a run is written down: MLflow and Weights & Biases, each only where it is asked for."""
