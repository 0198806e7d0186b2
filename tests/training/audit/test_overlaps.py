from PIL import Image

from tests.samples.phantoms import draw_slice, encode
from training.audit.overlaps import ClassOverlap, find_overlaps
from training.data.copies import find_copies
from training.data.image_tree import find_files


def _count(root, contents):
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    files = find_files(root)
    copies = find_copies([file.path for file in files])
    return {(each.split, each.other): each for each in find_overlaps(files, copies)}


def test_each_split_is_held_against_each_other_one(tmp_path):
    first, second, third, fourth = (Image.fromarray(draw_slice(seed)) for seed in range(4))
    found = _count(
        tmp_path,
        {
            "Training/a/1.png": encode(first),
            "Training/a/2.png": encode(second),
            "Training/b/3.png": encode(third),
            "Training/b/4.png": encode(fourth),
            "Training/b/5.png": encode(fourth, "BMP"),
            "Testing/a/1.png": encode(first),
            "Testing/a/2.tif": encode(second, "TIFF"),
            "Testing/a/3.png": encode(third.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
            "Testing/b/own.png": encode(Image.fromarray(draw_slice(9))),
            "Testing/b/broken.png": b"",
            "val/b/4.jpg": encode(fourth, "JPEG", quality=70),
        },
    )
    assert len(found) == 6
    testing = found["Testing", "Training"]
    assert (testing.images, testing.with_copy, testing.without_mirroring) == (4, 3, 2)
    assert (testing.same_pixels, testing.same_bytes) == (2, 1)
    assert testing.by_class == {"a": ClassOverlap(3, 3), "b": ClassOverlap(1, 0)}
    assert (found["Training", "val"].images, found["Training", "val"].with_copy) == (5, 2)
    assert found["Testing", "val"].with_copy == found["val", "Testing"].with_copy == 0


def test_a_tree_without_splits_has_no_overlaps(tmp_path):
    picture = encode(Image.fromarray(draw_slice(0)))
    assert _count(tmp_path, {"a/1.png": picture, "b/2.png": picture}) == {}
