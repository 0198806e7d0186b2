import pytest

from model.decoding import decode_image
from model.errors import InputError
from tests.soak.images import draw_scans
from tests.soak.mutation import mutate

_CORPUS = [scan.data for scan in draw_scans(0, (40, 64))]


def test_a_mutation_is_made_again_from_its_seed_and_index():
    assert mutate(_CORPUS, 3, 14) == mutate(_CORPUS, 3, 14)
    assert len({mutate(_CORPUS, 3, index) for index in range(50)}) > 45


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about tags it passes over
def test_mutations_reach_beyond_the_header():
    """Some damage must get past the checks of the container, or nothing behind them is tested."""
    judged = [_is_judged(mutate(_CORPUS, 0, index)) for index in range(300)]
    assert 15 < sum(judged) < 150


def _is_judged(data: bytes) -> bool:
    try:
        decode_image(data)
    except InputError:
        return False
    return True
