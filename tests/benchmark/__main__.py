"""`python -m tests.benchmark`: the service, its parts and what one would use instead, measured side by side."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from tests.benchmark.load import BenchmarkError
from tests.benchmark.measurements import prepare
from tests.benchmark.options import Options
from tests.benchmark.plot import plot_results
from tests.benchmark.ratios import compute_ratios, find_regressions, load_stored, store
from tests.benchmark.report import format_report
from tests.benchmark.results import Results


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write what came out.

    Returns:
        The exit status: 0; 1 if a ratio is clearly worse than the stored one, or if something could not be measured;
        130 when stopped.
    """
    given = _create_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers that were started are ended in any case
    options = _read_options(given)
    try:
        results = asyncio.run(measure(options, given.only))
    except BenchmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    ratios = compute_ratios(results)
    sys.stdout.write(format_report(results, ratios) + "\n")
    _write_files(options.out, results, {ratio.name: ratio.value for ratio in ratios})
    if given.store:
        store(ratios)
    regressions = find_regressions(ratios, load_stored())
    for regression in regressions:
        sys.stdout.write(f"WORSE   {regression}\n")
    return 1 if regressions and not given.quick else 0


async def measure(options: Options, part: str = "") -> Results:
    """Measure, in each round, everything whose name contains `part`.

    Raises:
        BenchmarkError: If a server does not start, or answers anything but 200.
    """
    results = Results()
    async with prepare(options, part) as wanted:
        with tqdm(total=options.rounds * len(wanted), disable=None, unit="measurement") as progress:
            for _ in range(options.rounds):
                for measurement in wanted:
                    results.add(measurement.name, await measurement.measure())
                    progress.update()
    return results


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmark", description="Measure the service and its parts.")
    parser.add_argument("--quick", action="store_true", help="short measurements, one round: a look, not a number")
    parser.add_argument("--only", default="", metavar="TEXT", help="only what has this in its name, such as http/ours")
    parser.add_argument("--store", action="store_true", help="let these ratios be what later versions are held against")
    for field in fields(Options):
        flag, text = f"--{field.name.replace('_', '-')}", f"{field.metadata['help']} [{field.default}]"
        parser.add_argument(
            flag,
            type=type(field.default) if not isinstance(field.default, Path) else Path,
            default=field.default,
            help=text,
        )
    return parser


def _read_options(given: argparse.Namespace) -> Options:
    options = Options(**{field.name: getattr(given, field.name) for field in fields(Options)})
    return options.shorten() if given.quick else options


def _write_files(folder: Path, results: Results, ratios: dict[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**results.describe(), "ratios": ratios}, indent=1)
    (folder / "benchmark.json").write_text(text, encoding="utf-8")
    plot_results(results, folder / "benchmark.png")


if __name__ == "__main__":
    raise SystemExit(main())
