"""The direction of dependency, read from the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"api": {"training"}, "model": {"api", "training"}, "training": {"api"}}
TORCH = {"torch", "torchvision", "timm", "onnx", "onnxscript"}
NEEDS_TORCH = {
    "checkpoint",
    "explain_branch",
    "export",
    "features",
    "gradcam",
    "heads",
    "network",
    "small_networks",
    "torch_engine",
    "torchvision_operators",
}
HTTP = {"fastapi", "starlette", "uvicorn", "httpx"}


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imported_packages(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_in_the_allowed_direction(package):
    for path in _modules(package):
        assert not FORBIDDEN[package] & set(_imported_packages(path)), path


def test_torch_is_named_only_in_the_modules_that_need_it():
    for path in (*_modules("api"), *_modules("model")):
        if path.stem not in NEEDS_TORCH:
            assert not TORCH & set(_imported_packages(path)), path


@pytest.mark.parametrize("package", ["model", "training"])
def test_only_the_api_knows_http(package):
    for path in _modules(package):
        assert not HTTP & set(_imported_packages(path)), path


def test_serving_starts_where_torch_is_not_installed():
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {TORCH | {'cv2', 'sklearn'}!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import api.main, api.__main__, model.command_line\n"
        "from model.engine import load_engine\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_every_test_file_mirrors_a_module():
    mirrored = [(package, package) for package in ("api", "model", "training")]
    for package, folder in (*mirrored, ("tests/soak", "soak"), ("tests/benchmark", "benchmark")):
        modules = {path.stem for path in _modules(package)}
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            assert path.stem.removeprefix("test_") in modules, path


def test_the_soak_knows_the_service_only_from_outside():
    for path in _modules("tests/soak"):
        if not path.stem.startswith("test_"):
            assert not {"api", "model", "training"} & set(_imported_packages(path)), path
