"""Requirements that every scenario has."""

from tests.soak.exchange import End
from tests.soak.probe import Probe
from tests.soak.report import Requirement, at_most, none_of
from tests.soak.server import Server
from tests.soak.tally import Tally, quantile

_MAX_LIVEZ_SECONDS = 0.05


def require_answers(tally: Tally) -> list[Requirement]:
    """Require that all that was sent was answered, and rightly."""
    return [
        none_of("status 500", tally.count_status(500)),
        none_of("wrong answers", tally.num_wrong),
        none_of("lost requests", tally.count(End.LOST, End.REFUSED)),
        none_of("hangs", tally.count(End.HUNG)),
    ]


def require_probes(probe: Probe) -> list[Requirement]:
    """Require that the service said at every moment that it lives, and at once."""
    p99 = quantile(probe.seconds, 0.99)
    return [
        none_of("unanswered /livez", probe.num_failed),
        at_most(f"/livez p99 of {len(probe.seconds)}", p99 * 1000, _MAX_LIVEZ_SECONDS * 1000, "ms", timed=True),
    ]


def describe_log(server: Server) -> str:
    """Write how much of the log is not the service's own: libraries that write on standard error."""
    lines = server.read_log().splitlines()
    return f"log: {len(lines)} lines, {sum(not line.startswith('{') for line in lines)} of them no JSON"


def require_clean_log(server: Server) -> Requirement:
    """Require that the service reported no defect and died of none."""
    lines = [line for line in server.read_log().splitlines() if '"defect"' in line or "Traceback" in line]
    first = f" first: {lines[0][:300]}" if lines else ""
    return Requirement("defects in the log", f"{len(lines)}{first}", not lines)
