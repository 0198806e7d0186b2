"""What a prediction is: decode, preprocess, network, checkpoint, engines, Grad-CAM, reliability, overlay."""
