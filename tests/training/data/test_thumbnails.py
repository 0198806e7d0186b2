import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from training.data.thumbnails import MIN_CORRELATION, correlate, find_similar


def _draw(generator, count):
    """Smooth random pictures, (N, 32, 32), of which some are noisy, brightened or mirrored versions of others."""
    pictures = [gaussian_filter(generator.normal(0, 1, (32, 32)), 2) for _ in range(count)]
    scaled = np.array([(each - each.min()) / np.ptp(each) * 150 for each in pictures])
    for target, source in generator.integers(0, count, (count // 2, 2)):
        noise = generator.normal(0, generator.uniform(0, 12), (32, 32))
        version = scaled[source, :, :: generator.choice([-1, 1])]
        scaled[target] = version * generator.uniform(0.5, 1.3) + generator.uniform(0, 40) + noise
    return scaled.clip(0, 255).round().astype(np.uint8)


def _search_all(thumbnails):
    """Every pair by numpy's own correlation coefficient, as first -> (straight, mirrored)."""
    count = len(thumbnails)
    flat, flipped = (values.reshape(count, -1) for values in (thumbnails, thumbnails[:, :, ::-1]))
    both = np.corrcoef(flat, flipped)
    straight, mirrored = both[:count, :count], both[:count, count:]
    first, second = np.nonzero(np.triu(np.maximum(straight, mirrored) > MIN_CORRELATION, 1))
    return {(int(a), int(b)): (straight[a, b], mirrored[a, b]) for a, b in zip(first, second, strict=True)}


@pytest.mark.parametrize("block_size", [1, 7, 64, 150, 4096])
def test_any_block_size_finds_what_a_search_of_all_pairs_finds(block_size):
    thumbnails = _draw(np.random.default_rng(0), 150)
    expected = _search_all(thumbnails)
    found = find_similar(thumbnails, block_size)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == sorted(expected)
    assert len(expected) > 20
    numbers = np.array([expected[pair] for pair in sorted(expected)])
    assert np.allclose(np.column_stack([found.correlation, found.mirrored]), numbers, atol=1e-5)
    assert (numbers[:, 0] > MIN_CORRELATION).any()
    assert (numbers[:, 1] > MIN_CORRELATION).any()


def test_a_thumbnail_without_contrast_resembles_nothing():
    generator = np.random.default_rng(1)
    dark = generator.integers(0, 3, (1, 32, 32), np.uint8)
    assert len(find_similar(np.concatenate([dark, dark, dark + 100, np.zeros_like(dark)]))) == 0
    assert [correlation.item() for correlation in correlate(dark, dark)] == [0, 0]


def test_correlation_of_all_with_all_is_numpys():
    thumbnails = _draw(np.random.default_rng(2), 12)
    flat = thumbnails.reshape(12, -1)
    both = np.corrcoef(flat, thumbnails[:, :, ::-1].reshape(12, -1))
    straight, mirrored = correlate(thumbnails, thumbnails)
    assert np.allclose(straight, both[:12, :12], atol=1e-5)
    assert np.allclose(mirrored, both[:12, 12:], atol=1e-5)
