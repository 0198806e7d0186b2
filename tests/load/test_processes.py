import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

from tests.load.processes import count_connections, find_owner, list_workers, measure_cpu_seconds, measure_memory

_PARENT = """
import subprocess, sys, time
for name in ("worker", "worker", "resource_tracker"):
    subprocess.Popen([sys.executable, "-c", "taken = b'x' * 2**25; import sys; sys.stdin.read()", name])
print("ready", flush=True)
sys.stdin.read()
"""


def test_workers_are_the_children_that_are_no_helpers_and_their_memory_counts():
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 10
        while measure_memory(parent.pid) < 3 * 2**25 and time.monotonic() < deadline:
            time.sleep(0.05)  # until all three are what they will be
        assert len(list_workers(parent.pid)) == 2
        assert 3 * 2**25 < measure_memory(parent.pid) < 5 * 2**25
        parent.communicate()
    assert measure_memory(parent.pid) == measure_cpu_seconds(parent.pid) == 0


def test_a_process_without_children_is_its_own_worker():
    assert list_workers(os.getpid()) == [os.getpid()]
    assert 0 < measure_cpu_seconds(os.getpid()) <= time.process_time() + 0.1


def test_connections_belong_to_the_process_that_has_accepted_them():
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3)]
        stack.enter_context(listener.accept()[0])
        found = [find_owner([os.getpid()], port, client.getsockname()[1]) for client in clients]
        assert found == [os.getpid(), None, None]
        assert count_connections(os.getpid(), port) == 3
