"""Random changes to a training image, after the recipe."""

from collections.abc import Callable

from PIL import Image

from model.torchvision_operators import import_torchvision
from training.recipe import Augmentation

Augment = Callable[[Image.Image], Image.Image]


def create_augmentation(settings: Augmentation) -> Augment:
    """Make the chain of transforms a recipe describes; its randomness is torch's global generator.

    Returns:
        A function from a uint8 image, grey or RGB, to one of the same size and mode.
    """
    import_torchvision()
    from torchvision.transforms import InterpolationMode, v2

    steps = [
        v2.RandomHorizontalFlip(settings.horizontal_flip),
        v2.RandomAffine(
            degrees=settings.rotation,
            translate=(settings.translation, settings.translation),
            scale=(1 - settings.zoom, 1 + settings.zoom),
            shear=settings.shear or None,
            interpolation=InterpolationMode.BILINEAR,
        ),
        v2.ColorJitter(brightness=settings.brightness, contrast=settings.contrast),
    ]
    if settings.blur:
        steps.append(v2.RandomApply([v2.GaussianBlur(kernel_size=5, sigma=(0.1, 1.5))], settings.blur))
    if settings.erasing:
        steps += [v2.PILToTensor(), v2.RandomErasing(settings.erasing, scale=(0.02, 0.2)), v2.ToPILImage()]
    chain: Augment = v2.Compose(steps)
    return chain
