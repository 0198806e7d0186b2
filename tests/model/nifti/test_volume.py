import gzip

import nibabel
import numpy as np
import pytest

from model.errors import BlankImageError, ImageTooLargeError, ImageTooSmallError, InputError, TruncatedImageError
from model.nifti.slices import SliceChoice
from model.nifti.volume import FIRST_VOLUME, NO_ORIENTATION, read_slices
from tests.samples.volumes import SHAPE, draw_volume, save_volume

VOXELS = draw_volume()
PLANES = {"axial": VOXELS[:, :, 30], "coronal": VOXELS[:, 25, :], "sagittal": VOXELS[20]}


def read_middle(path, plane="axial"):
    (part,) = read_slices(path, SliceChoice(plane, "middle"))
    return part


def show(plane):
    """First rows are front or top; first columns are the right, or the front."""
    values = PLANES[plane].astype(float)
    low, high = np.percentile(VOXELS, (1, 99))
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)[::-1, ::-1].T


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SAL"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_however_it_is_stored_a_slice_looks_the_same(tmp_path, plane, axes, suffix):
    part = read_middle(save_volume(tmp_path / f"volume{suffix}", VOXELS, axes), plane)
    assert np.abs(part.decoded.image[:, :, 0] - show(plane)).max() <= 1
    assert part.shows_head
    assert part.decoded.num_frames == SHAPE[("sagittal", "coronal", "axial").index(plane)]


def test_the_patients_right_is_on_the_left_and_the_front_on_top(tmp_path):
    image = read_middle(save_volume(tmp_path / "volume.nii", VOXELS)).decoded.image[:, :, 0].astype(float)
    assert image[25, 8:15].mean() > image[25, 25:32].mean()  # the ellipsoid is brighter to the right
    assert image[10:15, 20].mean() < image[35:40, 20].mean()  # and darker to the front


def test_thick_slices_are_drawn_with_square_pixels(tmp_path):
    path = save_volume(tmp_path / "volume.nii", VOXELS[:, :, ::3], spacing=3)
    image = read_middle(path, "coronal").decoded.image
    assert image.shape == (60, 40, 3)
    assert np.abs(image[10:-10, 5:-5, 0] - show("coronal")[10:-10, 5:-5]).mean() < 20


def test_all_slices_come_in_order_and_those_without_a_head_are_marked(tmp_path):
    parts = list(read_slices(save_volume(tmp_path / "volume.nii.gz", VOXELS), SliceChoice("axial", "all")))
    assert [part.index for part in parts] == list(range(SHAPE[2]))
    assert not parts[0].shows_head
    assert parts[30].shows_head


def test_the_first_of_several_volumes_is_used_with_a_warning(tmp_path):
    both = np.stack([VOXELS, VOXELS[::-1]], axis=3)
    nibabel.save(nibabel.Nifti1Image(both, np.eye(4)), tmp_path / "volumes.nii.gz")
    part = read_middle(tmp_path / "volumes.nii.gz")
    assert np.abs(part.decoded.image[:, :, 0] - show("axial")).max() <= 1
    assert FIRST_VOLUME in part.decoded.warnings


def test_the_second_version_and_scaled_values_are_read(tmp_path):
    image = nibabel.Nifti2Image(VOXELS, np.eye(4))
    image.header.set_slope_inter(0.5, -7)
    nibabel.save(image, tmp_path / "volume.nii")
    assert np.abs(read_middle(tmp_path / "volume.nii").decoded.image[:, :, 0] - show("axial")).max() <= 1


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_bytes_say_whether_a_file_is_compressed(tmp_path, suffix, is_compressed):
    data = save_volume(tmp_path / "volume.nii", VOXELS).read_bytes()
    (tmp_path / f"named{suffix}").write_bytes(gzip.compress(data) if is_compressed else data)
    assert np.abs(read_middle(tmp_path / f"named{suffix}").decoded.image[:, :, 0] - show("axial")).max() <= 1


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf), np.diag([1, 0, 1, 1]), np.ones((4, 4))],
    ids=["zeros", "nan", "inf", "flat", "singular"],
)
@pytest.mark.parametrize("has_qform", [True, False])
def test_an_orientation_that_is_not_usable_gives_way_to_the_next(tmp_path, affine, has_qform):
    image = nibabel.Nifti1Image(VOXELS, np.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 1, 1 if has_qform else 0
    data = bytearray(image.to_bytes())
    data[280:328] = affine[:3].astype("<f4").tobytes()  # srow_x to srow_z
    data[252:256] = np.array([int(has_qform), 1], "<i2").tobytes()
    (tmp_path / "volume.nii").write_bytes(data)
    part = read_middle(tmp_path / "volume.nii")
    assert (NO_ORIENTATION in part.decoded.warnings) != has_qform
    if has_qform:
        assert np.abs(part.decoded.image[:, :, 0] - show("axial")).max() <= 1


def write_header(path, shape, compressed=True, dtype=np.int16, num_bytes=1000):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    data = header.binaryblock + bytes(4) + bytes(num_bytes)
    path.write_bytes(gzip.compress(data) if compressed else data)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        ((30_000, 30_000, 30_000), np.int16, ImageTooLargeError),
        ((9_000, 40, 40), np.int16, ImageTooLargeError),
        ((100, 100, 100), np.int16, TruncatedImageError),
        ((50, 50), np.int16, TruncatedImageError),
        ((40, 40, 40), np.complex64, TruncatedImageError),
        ((10, 10, 2), np.uint8, BlankImageError),
    ],
)
def test_the_header_is_checked_against_bounds(tmp_path, compressed, shape, dtype, error):
    path = write_header(tmp_path / ("v.nii.gz" if compressed else "v.nii"), shape, compressed, dtype)
    with pytest.raises(error):
        read_middle(path)


def test_small_slices_are_refused(tmp_path):
    with pytest.raises(ImageTooSmallError):
        read_middle(save_volume(tmp_path / "volume.nii", VOXELS[:20]))


def test_a_file_that_inflates_without_end_is_read_only_to_the_size_in_its_header(tmp_path):
    path = write_header(tmp_path / "v.nii.gz", (40, 40, 40), num_bytes=2**28)
    with pytest.raises(BlankImageError):
        read_middle(path)


def test_damaged_files_are_refused_by_name(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "volume.nii"
    whole = np.frombuffer(save_volume(path, VOXELS).read_bytes(), np.uint8)
    for index in range(200):
        changed = whole.copy()
        changed[generator.integers(0, 352, 4)] = generator.integers(0, 256, 4)
        path.write_bytes(changed[: len(whole) if index % 4 else index * 10].tobytes())
        try:
            read_middle(path)
        except InputError:
            continue
