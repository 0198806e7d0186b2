"""The layers of the three packages and the direction of every import, read from the code."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"api": {"training"}, "model": {"api", "training"}, "training": {"api"}}
# A room imports rooms of lines above its own alone, and its own files.
LAYERS = {
    "model": """
        errors host kinds steps
        card images
        preprocessing dicom nifti drawing reliability networks
        decoding checkpoints prediction scan_files
        engines
        classification
        classifier export
        dicom_results
        commands
        command_line
        __main__
    """,
    "api": """
        exceptions version hints
        schemas settings scheduling pictures
        telemetry queue body keys cors
        errors dependencies
        middleware predict status protocol page
        batch
        docs
        main
        server
        __main__
    """,
    "training": """
        errors run
        recipe pages foreign_weights
        recipe_files
        data tracking
        metrics audit description
        robustness localization
        evaluation calibration
        comparison learning
        fitting recipe_options
        cross_validation
        commands
        command_line
        __main__
    """,
}
TORCH = {"torch", "torchvision", "timm", "onnx", "onnxscript"}
NEEDS_TORCH = (
    "model/networks/",
    "model/checkpoints/checkpoint.py",
    "model/checkpoints/explain_branch.py",
    "model/export.py",
    "model/engines/torch_engine.py",
)
HTTP = {"fastapi", "starlette", "uvicorn", "httpx"}
TELEMETRY = {"prometheus_client", "opentelemetry"}


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def _imported_names(path: Path) -> frozenset[str]:
    """Everything a file imports, as dotted names; of `from a import b` both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _imported_packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imported_names(path)}


def _imports_between_files() -> Mapping[str, frozenset[str]]:
    modules = {_name(path): path for package in LAYERS for path in _files(package)}
    return {name: _imported_names(path) & modules.keys() - {name} for name, path in modules.items()}


def _layers(package: str) -> dict[str, int]:
    lines = LAYERS[package].strip().splitlines()
    return {f"{package}.{room}": level for level, line in enumerate(lines) for room in line.split()}


def _imports_between_rooms(package: str) -> Iterator[tuple[str, str]]:
    for name, imported in _imports_between_files().items():
        for other in imported:
            packages = {name.split(".")[0], other.split(".")[0]}
            if packages == {package} and other != package and _room(name) != _room(other):
                yield name, other


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_in_the_allowed_direction(package):
    for path in _files(package):
        assert not FORBIDDEN[package] & _imported_packages(path), path


@pytest.mark.parametrize("package", LAYERS)
def test_a_room_imports_only_rooms_of_the_layers_below_it(package):
    layers = _layers(package)
    for name, other in _imports_between_rooms(package):
        assert layers[_room(other)] < layers[_room(name)], f"{name} imports {other}"


@pytest.mark.parametrize("package", LAYERS)
def test_every_file_stands_in_a_room_of_the_table(package):
    rooms = {_room(_name(path)) for path in _files(package)} - {package}
    assert rooms == set(_layers(package))


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter(_imports_between_files()).prepare()  # raises CycleError, which names them


def test_torch_is_named_only_in_the_modules_that_need_it():
    for path in (*_files("api"), *_files("model")):
        if not path.relative_to(ROOT).as_posix().startswith(NEEDS_TORCH):
            assert not TORCH & _imported_packages(path), path


@pytest.mark.parametrize("package", ["model", "training"])
def test_only_the_api_knows_http(package):
    for path in _files(package):
        assert not HTTP & _imported_packages(path), path


def test_in_the_api_one_room_each_knows_the_server_and_the_telemetry():
    for path in _files("api"):
        room = _room(_name(path))
        assert room == "api.server" or "uvicorn" not in _imported_packages(path), path
        assert room == "api.telemetry" or not TELEMETRY & _imported_packages(path), path


def test_a_folder_is_a_room_of_at_most_twenty_files():
    for package in LAYERS:
        for folder in {path.parent for path in _files(package)}:
            assert len(list(folder.glob("*.py"))) <= 20, folder


def test_serving_starts_where_torch_is_not_installed():
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {TORCH | {'cv2', 'sklearn'}!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import api.main, api.__main__, api.server.server, model.command_line\n"
        "from model.engines.loading import load_engine\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_every_test_file_mirrors_a_module():
    for package in (*LAYERS, "load", "soak", "benchmark"):
        code = ROOT / package if package in LAYERS else ROOT / "tests" / package
        for path in (ROOT / "tests" / package).rglob("test_*.py"):
            mirrored = code / path.relative_to(ROOT / "tests" / package).with_name(path.name.removeprefix("test_"))
            assert mirrored.exists(), path


def test_the_soak_knows_the_service_only_from_outside():
    for path in (*_files("tests/load"), *_files("tests/soak")):
        if not path.stem.startswith("test_"):
            assert not set(LAYERS) & _imported_packages(path), path
