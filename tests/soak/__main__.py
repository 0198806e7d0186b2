"""`python -m tests.soak`: load, hostile clients and kills, for minutes or hours; see docs/development.md."""

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

from tests.soak.abuse import abuse
from tests.soak.kill import kill
from tests.soak.mixed import soak_mixed
from tests.soak.mutations import send_mutations
from tests.soak.options import Options
from tests.soak.overload import overload
from tests.soak.parallel import ask_in_parallel
from tests.soak.report import Report
from tests.soak.server import ServerError
from tests.soak.terminate import terminate

SCENARIOS: dict[str, Callable[[Options], Coroutine[Any, Any, Report]]] = {
    "mixed": soak_mixed,
    "overload": overload,
    "terminate": terminate,
    "kill": kill,
    "mutations": send_mutations,
    "abuse": abuse,
    "parallel": ask_in_parallel,
}
_ALL = "all"
_NUM_OTHER_FILES = 3000  # open files beside the idle connections


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scenarios and write what they found.

    Returns:
        The exit status: 0 if every requirement is met, 1 if one is not or the server could not be started, 130 when
        stopped.
    """
    given = _create_parser().parse_args(arguments)
    options = _read_options(given)
    _allow_open_files(options.idle_connections + _NUM_OTHER_FILES)
    reports: list[Report] = []
    try:
        for name in SCENARIOS if given.scenario == _ALL else (given.scenario,):
            reports.append(asyncio.run(SCENARIOS[name](options)))
            sys.stdout.write(reports[-1].format() + "\n\n")
            sys.stdout.flush()
    except ServerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if given.json is not None:
            given.json.write_text(json.dumps([report.describe() for report in reports], indent=2), encoding="utf-8")
    return 0 if all(report.passed for report in reports) else 1


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.soak", description="Load and misuse the service, and judge it.")
    parser.add_argument("scenario", nargs="?", choices=(*SCENARIOS, _ALL), default="mixed", help="default: mixed")
    parser.add_argument("--minutes", type=float, help="the same as --seconds, in minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    for field in fields(Options):
        shown = "" if field.default is None else f" [{field.default}]"
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=_type_of(field), default=field.default, help=f"{field.metadata['help']}{shown}")
    return parser


def _read_options(given: argparse.Namespace) -> Options:
    values = {field.name: getattr(given, field.name) for field in fields(Options)}
    if given.minutes is not None:
        values["seconds"] = 60 * given.minutes
    return Options(**values)


def _type_of(field: Field[Any]) -> Callable[[str], Any]:
    """Find what makes a value from text: the type itself, or that beside None."""
    kinds = [kind for kind in get_args(field.type) or (field.type,) if kind is not NoneType]
    return cast(Callable[[str], Any], kinds[0])


def _allow_open_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        limit = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


if __name__ == "__main__":
    raise SystemExit(main())
