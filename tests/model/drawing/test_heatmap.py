import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from model.drawing.heatmap import quantize_heatmap, upsample_heatmap

RANDOM = np.random.default_rng(0).random((7, 9), np.float32)


def peak(heatmap):
    """Row and column of the largest value, in parts of the sides; the mean where several are as large."""
    rows, columns = np.nonzero(heatmap > heatmap.max() - 1e-6)
    return (rows.mean() + 0.5) / heatmap.shape[0], (columns.mean() + 0.5) / heatmap.shape[1]


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_stays_constant(value):
    enlarged = upsample_heatmap(np.full((7, 7), value, np.float32), 50, 33)
    assert enlarged == pytest.approx(np.full((50, 33), value), abs=1e-6)


@pytest.mark.parametrize("shape", [(224, 224), (100, 37), (7, 9), (3, 4)])
def test_it_equals_scipys_spline_up_to_the_scale(shape):
    grid = np.meshgrid(*((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, RANDOM.shape, strict=True)))
    smooth = map_coordinates(RANDOM, [axis.T for axis in grid], order=3, prefilter=False, mode="nearest")
    assert upsample_heatmap(RANDOM, *shape) == pytest.approx(smooth * RANDOM.max() / smooth.max(), abs=1e-5)


def test_values_stay_between_nothing_and_the_maps_own_maximum():
    enlarged = upsample_heatmap(RANDOM * np.float32(0.6), 224, 224)
    assert enlarged.dtype == np.float32
    assert enlarged.min() >= 0
    assert enlarged.max() == pytest.approx(RANDOM.max() * 0.6)


def test_a_mirrored_map_gives_the_mirrored_picture():
    enlarged = upsample_heatmap(RANDOM, 61, 84)
    assert upsample_heatmap(RANDOM[::-1], 61, 84) == pytest.approx(enlarged[::-1], abs=1e-6)
    assert upsample_heatmap(RANDOM[:, ::-1], 61, 84) == pytest.approx(enlarged[:, ::-1], abs=1e-6)
    assert upsample_heatmap(RANDOM.T, 84, 61) == pytest.approx(enlarged.T, abs=1e-6)


def test_the_peak_of_one_cell_is_its_centre():
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[2, 5] = 1
    assert peak(upsample_heatmap(heatmap, 140, 280)) == pytest.approx((2.5 / 7, 5.5 / 7), abs=1 / 140)


def test_the_peak_of_two_equal_neighbours_is_midway():
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[2, 4:6] = 1
    assert peak(upsample_heatmap(heatmap, 140, 280)) == pytest.approx((2.5 / 7, 5 / 7), abs=1 / 140)


def test_a_map_of_one_cell_is_flat():
    assert np.unique(upsample_heatmap(np.full((1, 1), 0.5, np.float32), 40, 30)) == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 1), (64, 65), (224, 224), (700, 1000)])
def test_levels_are_the_enlarged_map_in_units_of_1_in_255(shape):
    for heatmap in (RANDOM, RANDOM * np.float32(0.3), np.zeros((7, 7), np.float32), np.ones((7, 7), np.float32)):
        levels = quantize_heatmap(heatmap, *shape)
        assert levels.dtype == np.uint8
        assert np.array_equal(levels, np.rint(upsample_heatmap(heatmap, *shape) * 255))
