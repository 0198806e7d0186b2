"""`python -m api`: the server, its settings from the environment."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

# Images are classified side by side, a core each. NumPy's linear algebra, a thousandth of the work, would use all cores
# as well, and its threads spin for 25 ms after each product (OpenBLAS).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is loaded

from api.exceptions import SettingsError
from api.server.address import take_address
from api.server.files import allow_connections
from api.server.workers import serve_with_workers
from api.settings import Settings, load_settings
from api.telemetry.logs import configure_logs
from api.version import VERSION
from model.errors import ModelError
from model.host.standard_streams import replace_closed_streams

_LIMITS = {"ge": "{:,}", "gt": "above {:,}", "le": "{:,}"}

logger = logging.getLogger("api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes.

    Returns:
        The exit status: 0 after a signal, 1 if the service could not start; one line says why.
    """
    replace_closed_streams()  # or the first connection would get what libraries write to standard error
    parser = argparse.ArgumentParser(
        "python -m api", None, _help(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--settings-table", action="store_true", help="print the table of docs/settings.md and exit")
    if parser.parse_args(arguments).settings_table:
        sys.stdout.write(_table())
        return 0
    configure_logs("info", "text")
    # While the server runs it handles signals itself, and raises them again when it has stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        return _serve(settings)
    except (SettingsError, ModelError) as error:
        logger.error("cannot start: %s", error)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _serve(settings: Settings) -> int:
    settings = allow_connections(settings)
    if settings.is_public and not settings.has_keys:
        logger.warning(
            "access is open to everyone who reaches this address: set BRAIN_MRI_API_KEYS or BRAIN_MRI_API_KEYS_FILE"
        )
    if settings.workers > 1:
        return serve_with_workers(settings)
    from api.server.server import DrainingServer  # a supervisor needs no model and none of its libraries

    with take_address(settings) as listener:
        DrainingServer(settings).run([listener])
    return 0


def _help() -> str:
    lines = ["Serve predictions over HTTP. Settings are environment variables, or lines of a .env file:", ""]
    for name, field in Settings.model_fields.items():
        default = f" [{field.default}]" if str(field.default) and field.default_factory is None else ""
        lines.append(f"  BRAIN_MRI_{name.upper()}{default}\n      {field.description}")
    return "\n".join(lines)


def _table() -> str:
    """The settings as a Markdown table."""
    rows = ["| variable | default | range | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        computed, unset = field.default_factory is not None, field.default is None or not str(field.default)
        default = "computed" if computed else "none" if unset else f"`{field.default}`"
        limits = ((getattr(each, key, None), text) for each in field.metadata for key, text in _LIMITS.items())
        bounds = " to ".join(text.format(limit) for limit, text in limits if limit is not None)
        rows.append(f"| `BRAIN_MRI_{name.upper()}` | {default} | {bounds} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
