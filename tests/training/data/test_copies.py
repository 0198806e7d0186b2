import numpy as np
import pytest
from PIL import Image

from tests.samples.phantoms import draw_slice, encode
from training.data.copies import find_copies, weakest_correlation


def _store(folder, *contents):
    paths = [folder / f"{index}.img" for index in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


def _versions(pixels):
    picture = Image.fromarray(pixels)
    return {
        "bytes": encode(picture),
        "pixels": encode(picture.convert("RGB"), "TIFF"),
        "jpeg": encode(picture, "JPEG", quality=60),
        "resized": encode(picture.resize((140, 130))),
        "deep": encode(Image.fromarray(pixels.astype(np.uint16) * 257)),
        "brighter": encode(Image.fromarray((pixels * 1.2).clip(0, 255).astype(np.uint8))),
    }


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("version", list(_versions(draw_slice(0))))
def test_a_planted_copy_is_found_for_what_it_is(tmp_path, version, mirror):
    original = draw_slice(0)
    copy = _versions(original[:, ::-1] if mirror else original)[version]
    files = _store(tmp_path, encode(Image.fromarray(original)), encode(Image.fromarray(draw_slice(1))), copy)
    copies = find_copies(files)
    assert (copies.pairs.first.tolist(), copies.pairs.second.tolist()) == ([0], [2])
    assert copies.groups == ("g00000", "g00001", "g00000")
    assert (copies.pairs.mirrored > copies.pairs.correlation).tolist() == [mirror]
    assert copies.same_bytes.tolist() == [version == "bytes" and not mirror]
    assert copies.same_pixels.tolist() == [version in ("bytes", "pixels", "deep") and not mirror]


def test_different_slices_are_no_copies(tmp_path):
    copies = find_copies(_store(tmp_path, *(encode(Image.fromarray(draw_slice(seed))) for seed in range(40))))
    assert len(copies.pairs) == 0
    assert len(set(copies.groups)) == 40


def test_copies_of_copies_are_one_group_and_the_weakest_link_is_reported(tmp_path):
    near, far = (0.7 * draw_slice(0) + weight * draw_slice(1) for weight in (0.0, 0.42))
    chain = [((1 - step) * near + step * far).round().astype(np.uint8) for step in np.linspace(0, 1, 6)]
    copies = find_copies(_store(tmp_path, *(encode(Image.fromarray(each)) for each in chain)))
    assert set(copies.groups) == {"g00000"}
    assert len(copies.pairs) < 15
    thumbnails = [np.asarray(each.thumbnail) for each in copies.facts]
    ends = np.corrcoef(thumbnails[0].ravel(), thumbnails[-1].ravel())[0, 1]
    assert weakest_correlation(copies.facts) == pytest.approx(ends, abs=1e-5)
    assert ends < 0.98


def test_files_that_cannot_be_used_are_in_no_pair_but_in_a_group_with_their_like(tmp_path):
    blank, text = encode(Image.new("L", (64, 64))), b"no image"
    files = _store(tmp_path, blank, encode(Image.fromarray(draw_slice(0))), text, blank, text)
    copies = find_copies([*files, tmp_path / "missing.png"])
    assert len(copies.pairs) == 0
    assert copies.usable.tolist() == [False, True, False, False, False, False]
    assert copies.groups == ("g00000", "g00001", "g00002", "g00000", "g00002", "g00003")


def test_nearly_black_images_are_copies_only_of_the_same_pixels(tmp_path):
    generator = np.random.default_rng(0)
    black = [Image.fromarray(generator.integers(0, 3, (64, 64), np.uint8)) for _ in range(3)]
    specks = [np.zeros((64, 64), np.uint8) for _ in range(2)]
    for index, speck in enumerate(specks):
        speck[5, 5 + index] = 200
    pictures = [*black, black[0].convert("RGB"), *map(Image.fromarray, specks)]
    copies = find_copies(_store(tmp_path, *map(encode, pictures)))
    assert (copies.pairs.first.tolist(), copies.pairs.second.tolist()) == ([0], [3])


def test_no_files_have_no_groups():
    assert find_copies([]).groups == ()
