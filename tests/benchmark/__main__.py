"""`python -m tests.benchmark`: the service, its parts and what one would use instead, measured side by side."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, arg

from tests.benchmark.images import ORIGINAL, describe_originals
from tests.benchmark.measurements import prepare
from tests.benchmark.options import Options
from tests.benchmark.plot import plot_results
from tests.benchmark.profile import measure_profile
from tests.benchmark.ratios import Ratio, compute_ratios, find_regressions, load_stored, store
from tests.benchmark.results import Results, format_row
from tests.load.service import ServiceError

_DEFAULTS = Options()
_QUICK_LOOK = "quick look: one short round, no verdict"


def main(arguments: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # services that were started are ended in any case
    return tyro.cli(benchmark, prog="python -m tests.benchmark", args=arguments, config=(FlagCreatePairsOff,))


def benchmark(
    quick: bool = False,
    profile: bool = False,
    only: str = "",
    keep: Annotated[bool, arg(name="store")] = False,
    options: OmitArgPrefixes[Options] = _DEFAULTS,
) -> int:
    """Measure the service and its parts.

    Args:
        quick: Short measurements, one round: a look, not a number, and no verdict.
        profile: Show instead where the time of one request goes.
        only: Measure only what has this in its name, such as http/ours.
        keep: Store these ratios as what later versions are compared with; not those of a quick look.

    Returns:
        The exit status: 0; 1 if a ratio is clearly worse than the stored one, or if something could not be measured;
        2 for wrong usage; 130 when stopped.
    """
    if quick and keep:
        sys.stderr.write("error: --quick measures too little to be compared with: leave out --quick or --store\n")
        return 2
    options, results = options.shorten() if quick else options, Results()
    try:
        if profile:
            sys.stdout.write(asyncio.run(measure_profile(options)).format())
            return 0
        asyncio.run(measure(options, only, results))
    except ServiceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    ratios = compute_ratios(results)
    _write_report(results, ratios, quick=quick)
    _write_files(options.out, results, ratios, quick=quick)
    if keep:
        store(ratios)
    regressions = [] if quick else find_regressions(ratios, load_stored())
    sys.stdout.writelines(f"WORSE   {regression}\n" for regression in regressions)
    return 1 if regressions else 0


async def measure(options: Options, part: str, results: Results) -> None:
    """Take, in each round, every measurement whose name contains `part`; write each as it comes."""
    async with prepare(options, part) as wanted:
        width = max((len(measurement.name) for measurement in wanted), default=0)
        with tqdm(total=options.rounds * len(wanted), disable=None, unit="measurement") as progress:
            for number in range(1, options.rounds + 1):
                for measurement in wanted:
                    found = await measurement.measure()
                    results.add(measurement.name, found)
                    progress.write(f"{number}/{options.rounds}  {format_row(measurement.name, width, asdict(found))}")
                    sys.stdout.flush()
                    progress.update()


def _write_report(results: Results, ratios: Sequence[Ratio], *, quick: bool) -> None:
    machine, width = results.machine, max(map(len, results.values), default=0)
    lines = [
        f"\n{machine['processor']}, {machine['cores']} cores, load average before: {machine['load_before']:.1f}",
        f"{ORIGINAL}: {describe_originals()}\n",
        *(format_row(name, width, values) for name, values in results.medians().items()),
        f"\n{_QUICK_LOOK if quick else ''}",
        *(ratio.format(with_verdict=not quick) for ratio in ratios),
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _write_files(folder: Path, results: Results, ratios: Sequence[Ratio], *, quick: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "quick": quick,
        "machine": results.machine,
        "originals": describe_originals(),
        "medians": results.medians(),
        "rounds": results.values,
        "ratios": {ratio.rule.name: ratio.value for ratio in ratios},
    }
    (folder / "benchmark.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    plot_results(results, _QUICK_LOOK if quick else "", folder / "benchmark.png")


if __name__ == "__main__":
    raise SystemExit(main())
