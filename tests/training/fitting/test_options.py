import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from training.fitting.options import FitOptions, describe_options, restore_options

PATHS: dict[str, Any] = {
    field.name: Path(f"/{field.name}") for field in fields(FitOptions) if "Path" in str(field.type)
}


def test_every_option_survives_the_way_through_plain_types():
    values: dict[str, Any] = {**PATHS, "num_workers": 0, "mlflow": "file:x"}
    options = FitOptions(**values)
    described = json.loads(json.dumps(describe_options(options)))
    assert FitOptions(out=options.out, **restore_options(described)) == options


def test_files_are_all_that_is_read_but_the_scans_and_of_a_resumed_run_not_what_it_started_from():
    options = FitOptions(**PATHS)
    assert options.files == {name: path for name, path in PATHS.items() if name not in ("data", "out")}
    assert set(options.files) - set(replace(options, resume=True).files) == {"pretrained_file"}
    assert FitOptions(Path("data"), Path("out")).files == {}


def test_fewer_than_no_workers_are_refused():
    with pytest.raises(ValueError, match="--num-workers"):
        FitOptions(Path("data"), Path("out"), num_workers=-1)
