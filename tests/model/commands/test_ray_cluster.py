"""`make test` does not install Ray; CI does, from requirements/ray.txt, and runs these."""

import json
import os
import pty
import re
import sys
import termios
from pathlib import Path

import pytest

from model.checkpoints.file_hash import hash_file
from model.command_line import main
from model.commands.ray_cluster import map_on_ray
from model.errors import ClusterError
from tests.samples.phantoms import draw_scan, encode

NUM_IMAGES = 2000


def test_without_ray_the_error_names_the_requirements(tiny_pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"requirements/ray\.txt"):
        list(map_on_ray("auto", tiny_pair[1], "", lambda _classifier, task: task, ["a"]))


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, as processes of this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many names of few pictures, one of which is damaged."""
    folder = tmp_path_factory.mktemp("scans")
    for index in range(40):
        data = encode(draw_scan(48, (0.4, 0.5), seed=index))
        (folder / f"0-{index:02d}.png").write_bytes(data[:200] if index == 7 else data)
    for copy in range(1, NUM_IMAGES // 40):
        for index in range(40):
            os.link(folder / f"0-{index:02d}.png", folder / f"{copy}-{index:02d}.png")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_nodes_give_the_rows_that_one_machine_gives(cluster, tiny_pair, folder, tmp_path):
    common = ["predict", str(folder), "--weights", str(tiny_pair[1])]
    for name, options in (("here", ["--threads", "2"]), ("there", ["--ray", cluster.address])):
        assert main([*common, *options, "--output", str(tmp_path / name)]) == 1  # the damaged ones
    here, there = (_read_rows(tmp_path / name) for name in ("here", "there"))
    assert len(here) == NUM_IMAGES
    assert here == there


def _read_rows(path: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row.pop("timing_ms", None)
    return rows


@pytest.mark.slow
def test_a_cluster_of_its_own_says_nothing_and_shows_the_progress(tiny_pair, folder, start):
    pytest.importorskip("ray")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    some = folder / "?-*.png"
    with start("predict", some, "--weights", tiny_pair[1], "--ray", stdout=-1, stderr=theirs) as process:
        assert len(process.stdout.read().splitlines()) == 400
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    lines = [line for line in re.split("[\r\n]+", shown.replace("\x1b[A", "")) if line]
    assert any(re.match(r"predicting: +[1-9]\d?%", line) for line in lines)  # on its way
    assert not [line for line in lines if not re.match(r"predicting: |400 images in |10 of 400 images ", line)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_other_weights_on_a_node_are_an_error(cluster, tiny_pair):
    with pytest.raises(ClusterError, match="other weights"):
        list(map_on_ray(cluster.address, tiny_pair[1], hash_file(tiny_pair[1]), lambda _classifier, task: task, ["a"]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_an_error(tiny_pair):
    pytest.importorskip("ray")
    with pytest.raises(ClusterError, match="cannot reach Ray"):
        list(map_on_ray("127.0.0.1:1", tiny_pair[1], "", lambda _classifier, task: task, ["a"]))
