"""`python -m tests.soak`: load, hostile clients and kills, for minutes or hours; see docs/development.md."""

import asyncio
import json
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from tests.load.service import ServiceError
from tests.soak.abuse import abuse
from tests.soak.kill import hang, kill
from tests.soak.mutations import send_mutations
from tests.soak.options import Options
from tests.soak.parallel import request_in_parallel
from tests.soak.report import Report
from tests.soak.stop import terminate
from tests.soak.sustained import overload, soak_mixed

SCENARIOS: dict[str, Callable[[Options], Coroutine[Any, Any, Report]]] = {
    "mixed": soak_mixed,
    "overload": overload,
    "terminate": terminate,
    "kill": kill,
    "hang": hang,
    "mutations": send_mutations,
    "abuse": abuse,
    "parallel": request_in_parallel,
}
Scenario = Literal["mixed", "overload", "terminate", "kill", "hang", "mutations", "abuse", "parallel", "all"]
_NUM_OTHER_FILES = 3000  # open files beside the idle connections
_DEFAULTS = Options()


def main(arguments: Sequence[str] | None = None) -> int:
    return tyro.cli(soak, prog="python -m tests.soak", args=arguments)


def soak(
    scenario: Positional[Scenario] = "mixed",
    minutes: float | None = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
    options: OmitArgPrefixes[Options] = _DEFAULTS,
) -> int:
    """Put the service under load, misuse it, and check it against its requirements.

    Args:
        minutes: The same as --seconds, in minutes.
        json_file: Write the reports there too.

    Returns:
        The exit status: 0 if every requirement is met, 1 if one is not or the service could not be started, 130 when
        stopped.
    """
    options = options if minutes is None else replace(options, seconds=60 * minutes)
    _allow_open_files(options.idle_connections + _NUM_OTHER_FILES)
    reports: list[Report] = []
    try:
        for name in SCENARIOS if scenario == "all" else (scenario,):
            reports.append(asyncio.run(SCENARIOS[name](options)))
            sys.stdout.write(reports[-1].format() + "\n\n")
            sys.stdout.flush()
    except ServiceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if json_file is not None:
            json_file.write_text(json.dumps([report.describe() for report in reports], indent=2), encoding="utf-8")
    return 0 if all(report.passed for report in reports) else 1


def _allow_open_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        limit = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


if __name__ == "__main__":
    raise SystemExit(main())
