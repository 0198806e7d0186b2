"""The address that the service listens on."""

import socket

from api.exceptions import SettingsError
from api.settings import Settings


def take_address(settings: Settings) -> socket.socket:
    """Take the address of the settings; connections are refused until someone listens.

    Raises:
        SettingsError: If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named: asyncio turns off Nagle's algorithm, and with it waits of 40 ms, for such sockets alone.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((settings.host, settings.port))
    except OSError as error:
        taken.close()
        raise SettingsError(
            f"BRAIN_MRI_HOST, BRAIN_MRI_PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    return taken
