"""Predictions: decoding, preprocessing, networks, checkpoints, engines, Grad-CAM, reliability, overlays."""
