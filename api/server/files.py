"""How many connections the system's limit on open files leaves room for; each is a file."""

import logging
import resource

from api.exceptions import SettingsError
from api.settings import Settings

REFUSED_CONNECTIONS = 8  # above `max_connections`: clients that are told that they are too many
_FILES_PER_WORKER = 6  # of the process that watches them
_OTHER_FILES = 32  # libraries, metrics, the event loop: 21 with two workers, and some for a moment

logger = logging.getLogger(__name__)


def allow_connections(settings: Settings) -> Settings:
    """Raise the soft limit on open files as far as needed; lower `max_connections` to what the hard limit allows.

    Raises:
        SettingsError: If that is not even one, or if so many workers cannot be watched.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_others = REFUSED_CONNECTIONS + _OTHER_FILES
    wanted = settings.max_connections + num_others
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if granted <= num_others:
        raise SettingsError(
            f"this process may open {hard} files (ulimit -Hn); it needs {num_others}, and one for each connection"
        )
    num_watching = _OTHER_FILES + _FILES_PER_WORKER * settings.workers if settings.workers > 1 else 0
    if hard != resource.RLIM_INFINITY and hard < num_watching:
        raise SettingsError(
            f"BRAIN_MRI_WORKERS: this process may open {hard} files (ulimit -Hn); for {settings.workers} workers "
            f"it needs {num_watching}"
        )
    if soft != resource.RLIM_INFINITY and soft < (raised := max(granted, num_watching)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    if granted == wanted:
        return settings
    num_connections = granted - num_others
    logger.warning(
        "BRAIN_MRI_MAX_CONNECTIONS is %d instead of %d: this process may open no more than %d files",
        *(num_connections, settings.max_connections, hard),
    )
    return settings.model_copy(update={"max_connections": num_connections})
