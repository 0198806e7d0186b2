"""From a picture to torch's inputs, with torchvision's transforms."""

from PIL import Image
from torch import Tensor

from model.card import Preprocessing
from model.networks.torchvision_operators import import_torchvision


def transform_image(picture: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Turn an RGB picture into inputs (1, 3, S, S)."""
    import_torchvision()
    from torchvision import transforms

    size = preprocessing.input_size
    steps = [
        transforms.Resize((size, size)),
        transforms.Grayscale(3) if preprocessing.color == "grey" else transforms.Lambda(lambda same: same),
        transforms.ToTensor(),
        transforms.Normalize(preprocessing.mean, preprocessing.std),
    ]
    inputs: Tensor = transforms.Compose(steps)(picture)
    return inputs[None]
