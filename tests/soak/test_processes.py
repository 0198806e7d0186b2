import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

from tests.soak.processes import count_connections, find_owner, list_workers, measure_memory

_PARENT = """
import subprocess, sys, time
for name in ("worker", "worker", "resource_tracker"):
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", name])
print("ready", flush=True)
sys.stdin.read()
"""


def test_workers_are_the_children_that_are_no_helpers():
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 10
        while len(workers := list_workers(parent.pid)) != 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # until the third has become what its command line says
        assert len(workers) == 2
        assert parent.pid not in workers
        assert measure_memory(parent.pid) > 2**20
        parent.communicate()


def test_a_process_without_children_is_its_own_worker():
    with subprocess.Popen(["sleep", "5"]) as process:
        assert list_workers(process.pid) == [process.pid]
        assert 0 < measure_memory(process.pid) < 2**26
        process.kill()


def test_the_memory_of_a_process_that_has_ended_is_none():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert measure_memory(process.pid) == 0


def test_connections_belong_to_the_process_that_has_accepted_them():
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3)]
        stack.enter_context(listener.accept()[0])
        found = [find_owner([os.getpid()], port, client.getsockname()[1]) for client in clients]
        assert found == [os.getpid(), None, None]
        assert count_connections(os.getpid(), port) == 3
