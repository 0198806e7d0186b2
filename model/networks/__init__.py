"""Networks and Grad-CAM in torch."""
