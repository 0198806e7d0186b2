"""Images, networks and data folders that the tests make themselves."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

from model.card import ModelCard, Preprocessing
from model.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from model.engines.engine import Engine
from model.engines.torch_engine import TorchEngine
from model.images.decoded import FloatArray, ImageArray
from model.networks.network import create_network
from model.preprocessing import normalize_image, resize_image, self_test_inputs
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from training.calibration.calibration import fit_detector, fit_probabilities
from training.metrics.classified import SplitOutputs
from training.metrics.metrics import Labels

CLASSES = ("glioma", "notumor", "pituitary")
# Names that a file system takes, one of them as long as it may be.
AWKWARD_CLASSES = (' glioma (III), "high\\low" ', "$x$\n<b>100%|y</b>", "_" + "\N{CYRILLIC SMALL LETTER GHE}" * 126)
TINY = "test_efficientnet"  # timm's own network for tests: EfficientNet with 100,000 weights
TINY_SIZE = 64
LAYERS = ("blocks.-1.-1.conv_pw", "bn2")


def draw_scan(size: int = 64, spot: tuple[float, float] | None = None, seed: int = 0) -> ImageArray:
    """A grey ellipse with tissue, noise and, where `spot` (x, y in [0, 1]) is given, a bright disc; (size, size, 3).

    Tissue differs by seed, so that two seeds are two patients and not two copies of one picture.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size
    head = (rows - 0.5) ** 2 / 0.2 + (columns - 0.5) ** 2 / 0.14 < 1
    tissue = Image.fromarray(generator.normal(90, 25, (6, 6)).clip(60, 120).astype(np.uint8)).resize((size, size))
    grey = np.where(head, np.asarray(tissue, np.float64), 0.0) + generator.normal(0, 6, (size, size))
    if spot is not None:
        grey += 140 * ((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2 < 0.01)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def encode(image: ImageArray | Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def create_tiny_network(seed: int = 0, num_classes: int = len(CLASSES)) -> nn.Module:
    """A network whose batch statistics are not the trivial ones, so that a wrong fold shows."""
    torch.manual_seed(seed)
    network = create_network(TINY, num_classes).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, 3, TINY_SIZE, TINY_SIZE))
    return network.eval()


def create_card(network: nn.Module, layer: str = LAYERS[0], **changes: object) -> ModelCard:
    preprocessing = Preprocessing(input_size=TINY_SIZE)
    inputs = self_test_inputs(preprocessing)
    with torch.no_grad():
        logits = network(torch.from_numpy(inputs))[0].tolist()
    fields = {
        "name": "tiny",
        "version": "0.0.1",
        "architecture": TINY,
        "classes": CLASSES,
        "preprocessing": preprocessing,
        "gradcam_layer": layer,
        "self_test_logits": logits,
        **changes,
    }
    return ModelCard.model_validate(fields)


def save_tiny_checkpoint(path: Path, layer: str = LAYERS[0], **changes: object) -> Path:
    network = create_tiny_network()
    save_checkpoint(path, network.state_dict(), create_card(network, layer, **changes))
    return path


def save_calibrated_checkpoint(path: Path) -> Path:
    """A tiny checkpoint whose card carries temperature, sets, detector and thresholds, fitted to drawn scans."""
    engine = TorchEngine(save_tiny_checkpoint(path))
    train, calibration = judge_drawings(engine, range(60)), judge_drawings(engine, range(60, 100))
    save_checkpoint(
        path, load_checkpoint(path).network.state_dict(), calibrate(engine.card, train, calibration, calibration)
    )
    return path


def calibrate(card: ModelCard, train: SplitOutputs, validation: SplitOutputs, calibration: SplitOutputs) -> ModelCard:
    """Fit all but the thresholds for review and write it into a copy of the card."""
    return fit_detector(fit_probabilities(card, calibration), train, (validation, calibration))


def judge_drawings(engine: Engine, seeds: range) -> SplitOutputs:
    """The network's outputs for drawn scans; a third each have no spot, one left and one right."""
    spots = (None, (0.35, 0.5), (0.65, 0.5))
    preprocessing = engine.card.preprocessing
    images = [resize_image(draw_scan(96, spots[seed % 3], seed), preprocessing) for seed in seeds]
    outputs = engine.predict(np.stack([normalize_image(image, preprocessing) for image in images]))
    appearances = np.stack([describe_appearance(image) for image in images])
    labels = np.array([(1, 0, 2)[seed % 3] for seed in seeds])
    return create_judged(labels, outputs.logits, outputs.features, appearances)


def create_judged(
    labels: Labels, logits: FloatArray, features: FloatArray, appearances: FloatArray, name: str = "drawings"
) -> SplitOutputs:
    """A split of which only the network's outputs matter."""
    groups = [str(index) for index in range(len(labels))]
    return SplitOutputs(name, (), labels, logits, features, appearances, softmax(logits), groups)


def write_data_folder(root: Path, num_scans: int = 12, size: int = 48) -> Path:
    """Training and Testing with two classes that a spot tells apart."""
    generator = np.random.default_rng(0)
    for split, count in (("Training", num_scans), ("Testing", max(2, num_scans // 3))):
        for name in ("glioma", "notumor"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                spot = tuple(generator.uniform(0.3, 0.7, 2)) if name == "glioma" else None
                image = draw_scan(size, spot, seed=int(generator.integers(2**31)))
                (folder / f"{split}-{index}.png").write_bytes(encode(image))
    return root


def draw_slice(seed: int, size: int = 96) -> ImageArray:
    """A head whose tissue differs from seed to seed, and from its own mirror image; (size, size) uint8."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    head = (rows - 0.5) ** 2 / 0.2 + (columns - 0.5) ** 2 / 0.14 < 1
    tissue = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (size, size)), size / 20)
    return np.asarray(head * (110 + 45 * tissue / tissue.std()).clip(20, 255), np.uint8)
