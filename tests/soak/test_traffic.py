import random
from collections import Counter

from tests.soak.images import draw_scans
from tests.soak.options import Options
from tests.soak.traffic import create_traffic


def _draw(number: int, seed: int = 0) -> list[str]:
    traffic, generator = create_traffic(draw_scans(0, (64,)), Options()), random.Random(seed)
    return [traffic.choose(generator).kind for _ in range(number)]


def test_one_in_five_is_hostile_and_every_kind_comes():
    kinds = Counter(_draw(4000))
    assert 0.75 < (kinds["predict"] + kinds["visualize"]) / kinds.total() < 0.85
    assert {"text", "garbage", "gigapixels", "stalled", "slow", "left waiting", "left in the body"} <= kinds.keys()
    assert {"oversized, announced", "oversized, chunked", "mutated"} <= kinds.keys()


def test_the_order_depends_on_the_seed_alone():
    assert _draw(50, 1) == _draw(50, 1) != _draw(50, 2)
