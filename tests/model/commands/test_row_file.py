import os
from pathlib import Path

import pytest

from model.commands.row_file import open_rows
from model.commands.rows import CsvTable, JsonLines, Row
from model.commands.volume_summary import summarise_volume
from model.errors import OutputError
from model.prediction import ModelIdentity

WEIGHTS = "0" * 64
ROWS = [Row(f"{index}.png", error="x") for index in range(4)]


@pytest.fixture(params=[JsonLines(), CsvTable(("a", "b"))], ids=["jsonl", "csv"])
def form(request):
    return request.param


@pytest.fixture
def output(tmp_path):
    return tmp_path / "rows"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "rows.part"


def write(output, form, rows, *, resume=False):
    with open_rows(output, form, WEIGHTS, resume=resume) as writer:
        for row in rows:
            writer.write([row])
    return writer


def test_the_file_appears_when_all_is_written(form, output, part):
    with open_rows(output, form, WEIGHTS) as writer:
        for row in ROWS:
            writer.write([row])
            assert part.read_bytes().endswith(form.encode(row))
            assert not output.exists()
    assert output.read_bytes() == form.header + b"".join(map(form.encode, ROWS))
    assert not part.exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_is_stopped_leaves_its_part_and_an_older_file(form, output, part, stop):
    output.write_text("older", encoding="ascii")

    def run():
        with open_rows(output, form, WEIGHTS) as writer:
            writer.write(ROWS[:1])
            raise stop

    with pytest.raises(stop):
        run()
    assert output.read_text(encoding="ascii") == "older"
    assert part.read_bytes() == form.header + form.encode(ROWS[0])


def test_a_part_that_ends_anywhere_is_resumed_to_the_same_file(form, output, part):
    expected = form.header + b"".join(map(form.encode, ROWS))
    for num_bytes in range(len(expected) + 1):
        part.write_bytes(expected[:num_bytes])
        with open_rows(output, form, WEIGHTS, resume=True) as writer:
            num_earlier = writer.earlier.total()
            assert writer.num_failed == num_earlier
            assert sorted(writer.earlier) == [row.file for row in ROWS[:num_earlier]]
            for row in ROWS[num_earlier:]:
                writer.write([row])
        assert writer.num_failed == len(ROWS)
        assert output.read_bytes() == expected


def test_slices_without_a_summary_of_their_volume_are_classified_again(form, output, part):
    slices = [Row(f"a.nii#axial:{index}", volume="a.nii", note="no head") for index in range(3)]
    identity = ModelIdentity(name="x", version="1", sha256=WEIGHTS)
    summary = Row("a.nii#volume", volume="a.nii", summary=summarise_volume([], 3, ("a", "b"), identity))
    rows = [ROWS[0], *slices, summary, ROWS[1]]
    expected = form.header + b"".join(map(form.encode, rows))
    for num_bytes in range(len(expected) + 1):
        part.write_bytes(expected[:num_bytes])
        with open_rows(output, form, WEIGHTS, resume=True) as writer:
            num_done = {0: 0, 1: 1, 2: 5, 3: 6}[writer.earlier.total()]
            writer.write(rows[num_done:])
        assert output.read_bytes() == expected


def test_an_error_ends_a_volume_too(form, output, part):
    rows = [Row("a.nii#axial:0", volume="a.nii", note="no head"), Row("a.nii", error="x")]
    part.write_bytes(form.header + b"".join(map(form.encode, rows)))
    with open_rows(output, form, WEIGHTS, resume=True) as writer:
        assert (writer.earlier, writer.num_failed) == ({"a.nii": 1}, 1)


def test_a_whole_file_is_resumed_too(form, output):
    write(output, form, ROWS[:2])
    assert write(output, form, ROWS[2:], resume=True).earlier == {"0.png": 1, "1.png": 1}
    assert output.read_bytes() == form.header + b"".join(map(form.encode, ROWS))


def test_without_resume_a_part_is_overwritten(form, output, part):
    part.write_bytes(form.header + form.encode(ROWS[3]))
    write(output, form, ROWS[:1])
    assert output.read_bytes() == form.header + form.encode(ROWS[0])


def test_output_of_another_command_is_left_alone(form, output):
    output.write_bytes(b"my diary\n")
    with pytest.raises(OutputError, match="cannot resume"):
        write(output, form, ROWS, resume=True)
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    assert output.read_bytes() == b"my diary\n"


def test_a_device_is_written_to_and_not_replaced(form):
    reader, sink = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        write(Path(f"/dev/fd/{sink}"), form, ROWS)
        os.close(sink)
        assert stream.read() == form.header + b"".join(map(form.encode, ROWS))


def test_standard_output_cannot_be_resumed(form):
    with pytest.raises(OutputError, match="--output"):
        write(None, form, ROWS, resume=True)


def test_a_link_still_points_to_the_file(form, output, tmp_path):
    (tmp_path / "link").symlink_to(output)
    write(tmp_path / "link", form, ROWS)
    assert (tmp_path / "link").is_symlink()
    assert output.is_file()
