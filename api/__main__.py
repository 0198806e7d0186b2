"""`python -m api`: the server, its settings from the environment."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from types import FrameType

from api.logs import configure_logs
from api.main import create_app
from api.server import DrainingServer
from api.settings import Settings, SettingsError, load_settings
from model.errors import ModelError

logger = logging.getLogger("api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes.

    Returns:
        The exit status: 0 after a signal, 1 if the service could not start; one line says why.
    """
    parser = argparse.ArgumentParser(
        "python -m api", None, _help(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    configure_logs("info", "text")
    # The server handles signals while it runs, and raises them again when it has stopped.
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        asyncio.run(_serve(settings))
    except (SettingsError, ModelError) as error:
        logger.error("cannot start: %s", error)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not app.state.keys.enabled:
        logger.warning("anyone who reaches this address may ask: set BRAIN_MRI_API_KEYS or BRAIN_MRI_API_KEYS_FILE")
    async with app.router.lifespan_context(app):
        await DrainingServer(app, settings).serve()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _help() -> str:
    lines = ["Serve predictions over HTTP. Settings are environment variables, or lines of a .env file:", ""]
    for name, field in Settings.model_fields.items():
        default = f" [{field.default}]" if str(field.default) and field.default_factory is None else ""
        lines.append(f"  BRAIN_MRI_{name.upper()}{default}\n      {field.description}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
