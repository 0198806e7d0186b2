"""The address that the service listens on."""

import socket

from api.exceptions import SettingsError
from api.settings import Settings


def take_address(settings: Settings) -> socket.socket:
    """Bind the address of the settings; connections are refused until a server listens.

    Raises:
        SettingsError: If the address is in use or is not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named: asyncio turns off Nagle's algorithm, and with it waits of 40 ms, for such sockets alone.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"BRAIN_MRI_HOST, BRAIN_MRI_PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    return listener
