"""Reads from /proc: a service's processes, their memory and processor time, and which of them holds a connection."""

import os
import re
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROPORTIONAL = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_ESTABLISHED = "01"
_NOT_ACCEPTED = "0"  # the inode of a connection that only the kernel knows
_HELPERS = re.compile("resource_tracker|forkserver")


def list_workers(pid: int) -> list[int]:
    """List the children of a process that serve; without any, the process itself."""
    children = [child for child, parent in _read_parents().items() if parent == pid]
    return [child for child in children if not _HELPERS.search(_read(child, "cmdline"))] or [pid]


def list_family(pid: int) -> list[int]:
    """List a process and its descendants."""
    family, parents = [pid], _read_parents()
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def measure_memory(pid: int) -> int:
    """Measure what a process and its descendants occupy, bytes.

    Of one process that is its resident memory; of several the sum of their proportional shares, which counts once
    what they share.
    """
    family = list_family(pid)
    if len(family) == 1:
        return _PAGE_BYTES * sum(map(int, _read(pid, "statm").split()[1:2]))
    return 1024 * sum(int(size) for member in family for size in _PROPORTIONAL.findall(_read(member, "smaps_rollup")))


def measure_cpu_seconds(pid: int) -> float:
    """Measure the processor time that a process and its descendants have taken so far."""
    ticks = (int(tick) for member in list_family(pid) for tick in _read_stat(member)[11:13])  # user and system
    return sum(ticks) / _TICKS_PER_SECOND


def find_owner(pids: list[int], server_port: int, client_port: int) -> int | None:
    """Find which process holds the server's side of a connection."""
    inodes = {inode for *ports, inode in _read_links() if ports == [server_port, client_port]}
    return next((pid for pid in pids if inodes & _list_sockets(pid)), None)


def count_connections(pid: int, server_port: int) -> int:
    """Count the connections a process holds on a port, and those that nobody has accepted yet."""
    held = _list_sockets(pid) | {_NOT_ACCEPTED}
    return sum(port == server_port and inode in held for port, _, inode in _read_links())


def _read_parents() -> dict[int, int]:
    """Read the parent of every living process."""
    stats = {int(folder.name): _read_stat(int(folder.name)) for folder in _PROC.iterdir() if folder.name.isdigit()}
    return {pid: int(fields[1]) for pid, fields in stats.items() if fields and fields[0] != "Z"}


def _read_stat(pid: int) -> list[str]:
    """Read the fields behind the second, the name, which may hold anything but ends with the last bracket."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _read_links() -> list[tuple[int, int, str]]:
    """Read the local port, remote port and inode of every established connection."""
    rows = [line.split() for line in _read("net", "tcp").splitlines()[1:]]
    ports = ([int(address.split(":")[1], 16) for address in row[1:3]] for row in rows)
    return [(local, remote, row[9]) for (local, remote), row in zip(ports, rows, strict=True) if row[3] == _ESTABLISHED]


def _list_sockets(pid: int) -> set[str]:
    """List the inodes of the sockets of a process, among the names of its other open files."""
    targets = set()
    with suppress(OSError):  # it has ended
        for file in (_PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                targets.add(str(file.readlink()))
    return {target.removeprefix("socket:[").removesuffix("]") for target in targets}


def _read(folder: int | str, name: str) -> str:
    try:
        return (_PROC / str(folder) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""
