"""What /proc tells about the server: its processes, their memory, and who answers a connection."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_ESTABLISHED = "01"
_NOT_ACCEPTED = "0"  # the inode of a connection that only the kernel knows
_HELPERS = ("resource_tracker", "forkserver")


@dataclass(frozen=True)
class Link:
    """A row of /proc/net/tcp: one side of a connection."""

    local_port: int
    remote_port: int
    inode: str


def list_workers(pid: int) -> list[int]:
    """List the children of a process that serve; without any, the process itself."""
    workers = [child for child in _list_children(pid) if not _is_helper(child)]
    return workers or [pid]


def measure_memory(pid: int) -> int:
    """Measure what a process and its descendants occupy, bytes.

    Of one process that is its resident memory. Of several it is the sum of their proportional shares, which counts
    what they share once.
    """
    family = [pid, *_list_descendants(pid)]
    return _resident_bytes(pid) if len(family) == 1 else sum(map(_proportional_bytes, family))


def measure_cpu_seconds(pid: int) -> float:
    """Measure the processor time that a process and its descendants have taken so far."""
    return sum(map(_cpu_seconds, [pid, *_list_descendants(pid)]))


def find_owner(pids: list[int], server_port: int, client_port: int) -> int | None:
    """Find which process holds the server's side of a connection."""
    inodes = {link.inode for link in _list_links() if (link.local_port, link.remote_port) == (server_port, client_port)}
    return next((pid for pid in pids if inodes & set(_list_sockets(pid))), None)


def count_connections(pid: int, server_port: int) -> int:
    """Count the connections a process holds on a port, and those that nobody has accepted yet."""
    held = set(_list_sockets(pid)) | {_NOT_ACCEPTED}
    return sum(link.local_port == server_port and link.inode in held for link in _list_links())


def _list_children(pid: int) -> list[int]:
    return [child for child, parent in _list_parents() if parent == pid]


def _list_descendants(pid: int) -> list[int]:
    family, parents = [pid], dict(_list_parents())
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family[1:]


def _list_parents() -> Iterator[tuple[int, int]]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            # The second field, the name, may hold anything but ends with the last bracket.
            fields = _read(folder / "stat").rpartition(")")[2].split()
            if len(fields) > 1 and fields[0] != "Z":
                yield int(folder.name), int(fields[1])


def _is_helper(pid: int) -> bool:
    return any(name in _read(_PROC / str(pid) / "cmdline") for name in _HELPERS)


def _resident_bytes(pid: int) -> int:
    fields = _read(_PROC / str(pid) / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _cpu_seconds(pid: int) -> float:
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / _TICKS_PER_SECOND if fields else 0.0  # user and system


def _proportional_bytes(pid: int) -> int:
    match = _PSS.search(_read(_PROC / str(pid) / "smaps_rollup"))
    return int(match[1]) * 1024 if match else 0


def _list_links() -> Iterator[Link]:
    for line in _read(_PROC / "net" / "tcp").splitlines()[1:]:
        _, local, remote, state, *_, inode = line.split()[:10]
        if state == _ESTABLISHED:
            yield Link(int(local.split(":")[1], 16), int(remote.split(":")[1], 16), inode)


def _list_sockets(pid: int) -> Iterator[str]:
    try:
        for file in (_PROC / str(pid) / "fd").iterdir():
            target = str(file.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]
    except OSError:  # it has ended, or has closed the file meanwhile
        return


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""
