import pytest

from training.data.boxes import Box, load_boxes
from training.errors import DataError

HEADER = "path,x0,y0,x1,y1"


NAMES = ("a.png", "Training/glioma/a.png", "Testing/glioma/b, c.png")


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write(folder, *rows, header=HEADER):
    file = folder / "boxes.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_a_table_is_read_as_it_was_written(root):
    boxes = {"Training/glioma/a.png": Box(0.1, 0.2, 0.5, 0.9), "Testing/glioma/b, c.png": Box(0, 0, 1, 1)}
    rows = [f'"{name}",{box.x0},{box.y0},{box.x1},{box.y1}' for name, box in boxes.items()]
    assert load_boxes(write(root, *rows), root) == boxes


def test_further_columns_in_any_order_are_passed_over(root):
    file = write(root, "1,0.5,me,0.1,0.2,a.png,0.9", header="y1,x1,reader,x0,y0,path,area")
    assert load_boxes(file, root) == {"a.png": Box(0.1, 0.2, 0.5, 1)}


@pytest.mark.parametrize(
    "row",
    [
        "a.png,0.5,0.2,0.5,0.9",  # no width
        "a.png,0.1,0.9,0.5,0.2",  # upside down
        "a.png,-0.1,0.2,0.5,0.9",
        "a.png,10,20,50,90",  # pixels
        "a.png,nan,0.2,0.5,0.9",
        "a.png,left,0.2,0.5,0.9",
        "a.png,0.1,0.2,0.5",
        ",0.1,0.2,0.5,0.9",
    ],
)
def test_a_row_that_is_no_box_is_refused(root, row):
    with pytest.raises(DataError, match=r"boxes\.csv, row 2: expected (0 <= x0 < x1 <= 1|columns .* is empty)"):
        load_boxes(write(root, row), root)


def test_a_table_that_cannot_be_used_is_named(root):
    with pytest.raises(DataError, match="expected columns"):
        load_boxes(write(root, "a.png,0,0,1", header="path,x0,y0,x1"), root)
    with pytest.raises(DataError, match=r"row 3: a\.png stands in row 2 too"):
        load_boxes(write(root, "a.png,0,0,1,1", "a.png,0,0,0.5,1"), root)
    with pytest.raises(DataError, match=r"absent\.csv"):
        load_boxes(root / "absent.csv", root)
    (root / "binary.csv").write_bytes(b"path\xff\x00\xfe")
    with pytest.raises(DataError, match=r"binary\.csv"):
        load_boxes(root / "binary.csv", root)


@pytest.mark.parametrize("shape", [(7, 7), (50, 31), (1, 1)])
def test_coverage_adds_up_to_the_area(shape):
    box = Box(0.13, 0.2, 0.57, 0.91)
    covered = box.coverage(*shape)
    assert covered.shape == shape
    assert covered.max() <= 1 + 1e-6
    assert covered.mean() == pytest.approx(0.44 * 0.71, abs=1e-5)


def test_coverage_is_1_inside_and_0_outside():
    covered = Box(0.25, 0.5, 0.5, 1.0).coverage(4, 4)
    assert covered.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_the_center_is_inside():
    box = Box(0.2, 0.3, 0.6, 0.5)
    assert box.center == pytest.approx((0.4, 0.4))
    assert box.contains(*box.center)
    assert not box.contains(0.4, 0.51)
