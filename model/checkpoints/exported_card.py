"""The metadata of an exported graph: the card and the hash of its checkpoint."""

from collections.abc import Mapping

from pydantic_core import from_json

from model.card import ModelCard, parse_card
from model.errors import CheckpointError

CARD_KEY = "brain_tumor_mri_card"
SHA256_KEY = "brain_tumor_mri_checkpoint_sha256"
OUTPUTS = ("logits", "features", "heatmaps")


def read_exported_card(metadata: Mapping[str, str]) -> tuple[ModelCard, str]:
    """Read the card, and the SHA-256 of the exported `.pth`.

    Raises:
        CheckpointError: If either is missing, or the card is damaged.
    """
    if CARD_KEY not in metadata or SHA256_KEY not in metadata:
        raise CheckpointError("it carries no card; export it with `python -m model export`")
    try:
        fields = from_json(metadata[CARD_KEY])
    except ValueError as error:
        raise CheckpointError("its card is damaged") from error
    return parse_card(fields), metadata[SHA256_KEY]


def check_signature(card: ModelCard, inputs: Mapping[str, object], outputs: set[str]) -> None:
    """Check a graph's inputs and outputs against its card.

    Args:
        inputs: Shapes by name, without the batch.

    Raises:
        CheckpointError: If they are not those that `model.export` writes.
    """
    size = card.preprocessing.input_size
    if inputs == {"inputs": [3, size, size]}:
        raise CheckpointError("it was exported for other runtimes; export it again without --plain")
    if inputs != {"inputs": [3, size, size], "targets": [], "explain": []}:
        raise CheckpointError("its graph does not have the inputs its card describes")
    missing = sorted(set(OUTPUTS) - outputs)
    if missing:
        raise CheckpointError(
            f"its graph lacks the output {missing[0]!r}; export it again with `python -m model export`"
        )
