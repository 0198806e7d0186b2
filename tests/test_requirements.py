"""The pinned files hold what pyproject.toml asks for: `make requirements` was run after it was changed."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVING = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
GROUPS = PYPROJECT["dependency-groups"]
EVERYTHING = [*SERVING, *GROUPS["dev"], *(one for extra in EXTRAS if extra != "ray" for one in EXTRAS[extra])]
FILES = {
    "requirements.txt": EVERYTHING,
    "requirements-serve.txt": SERVING,
    "requirements/security.txt": GROUPS["security"],
    **{f"requirements/{extra}.txt": [*SERVING, *EXTRAS[extra]] for extra in EXTRAS if extra != "training"},
}


def _pins(file: str) -> dict[NormalizedName, Version]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    pins: dict[NormalizedName, Version] = {}
    for requirement in map(Requirement, filter(None, lines)):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        pins[canonicalize_name(requirement.name)] = Version(pin.version)
    return pins


def test_every_pinned_file_is_known():
    found = {str(path.relative_to(ROOT)) for path in (*ROOT.glob("requirements*.txt"), *ROOT.glob("requirements/*"))}
    assert found == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_a_file_pins_every_direct_dependency_within_its_bounds(file):
    pins = _pins(file)
    for needed in map(Requirement, FILES[file]):
        name = canonicalize_name(needed.name)
        assert name in pins, f"{file} lacks {name}: run `make requirements`"
        assert pins[name] in needed.specifier, f"{file} has {name} {pins[name]}: run `make requirements`"


def test_a_package_has_one_version_in_all_files():
    versions: dict[NormalizedName, set[Version]] = {}
    for file in FILES:
        for name, version in _pins(file).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("file", FILES)
def test_a_file_names_no_index_no_folder_and_no_cuda(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not any(word in text for word in ("://", "--", "nvidia", "cuda", "triton=="))


def test_serving_installs_no_torch():
    assert not {"torch", "torchvision", "timm", "onnx"} & _pins("requirements-serve.txt").keys()
