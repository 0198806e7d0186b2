"""One request on its way: sent, answered or not, and when."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.soak.client import Answer, Connection, LostError
from tests.soak.request import Request


class End(StrEnum):
    """How an exchange may end."""

    ANSWERED = "answered"
    LOST = "lost"
    """The connection ended without a complete answer."""
    REFUSED = "refused"
    """No connection was made: nobody listened."""
    HUNG = "hung"
    """There was no complete answer within the client's limit."""
    LEFT = "left"
    """The client went away, as it had meant to."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request; times are those of `time.monotonic`, in seconds.

    Attributes:
        begun: When the client began to connect.
        sent: When all had been given to the system to send; infinite if that never was.
        num_sent_bytes: How much the system had taken.
    """

    request: Request
    end: End
    begun: float
    sent: float
    ended: float
    num_sent_bytes: int
    answer: Answer | None = None

    @property
    def seconds(self) -> float:
        """From connecting to the last byte of the answer."""
        return self.ended - self.begun

    @property
    def label(self) -> str:
        """How it ended in a word: the status and, for a problem, its code."""
        if self.answer is None:
            return str(self.end)
        return f"{self.answer.status} {problem_code(self.answer)}".strip()


async def exchange(port: int, request: Request, limit_seconds: float, connection: Connection | None = None) -> Outcome:
    """Send a request and wait for its answer.

    Args:
        connection: An open one, which is left open; by default a new one, which is closed.
    """
    begun = time.monotonic()
    sending = _Sending(request)
    link = connection
    end, answer = End.ANSWERED, None
    try:
        async with asyncio.timeout(limit_seconds):
            link = link or await Connection.open(port)
            answer = await _converse(link, sending)
            end = End.LEFT if answer is None else end
    except TimeoutError:
        end = End.HUNG
    except ConnectionRefusedError:
        end = End.REFUSED
    except (LostError, ConnectionError):
        end = End.LOST
    finally:
        if link is not None and connection is None:
            link.close()
    return Outcome(request, end, begun, sending.sent, time.monotonic(), sending.num_bytes, answer)


class ClosedLoop:
    """Clients of which each sends its next request, on the same connection, when the last one is answered."""

    def __init__(self, port: int, limit_seconds: float, observe: Callable[[Outcome], Awaitable[None] | None]) -> None:
        """Send nothing yet; `observe` is told each outcome."""
        self._port, self._limit_seconds, self._observe = port, limit_seconds, observe

    async def run(self, num_clients: int, choose: Callable[[], Request | None]) -> None:
        """Send what `choose` returns until it returns None."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(num_clients):
                clients.create_task(self._run_client(choose))

    async def _run_client(self, choose: Callable[[], Request | None]) -> None:
        connection: Connection | None = None
        while (request := choose()) is not None:
            connection = connection or await self._connect()
            outcome = await exchange(self._port, request, self._limit_seconds, connection)
            if connection is not None and not _stays_open(outcome):
                connection.close()
                connection = None
            pause = self._observe(outcome)
            if pause is not None:
                await pause
        if connection is not None:
            connection.close()

    async def _connect(self) -> Connection | None:
        try:
            return await Connection.open(self._port)
        except ConnectionError:
            return None  # the exchange will find out, and say so


class _Sending:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.num_bytes = 0
        self.sent = float("inf")

    async def run(self, connection: Connection) -> None:
        for number, piece in enumerate(self.request.pieces):
            if number and self.request.pause_seconds:
                await asyncio.sleep(self.request.pause_seconds)
            if not await connection.send(piece):
                return
            self.num_bytes += len(piece)
        self.sent = time.monotonic()


async def _converse(connection: Connection, sending: _Sending) -> Answer | None:
    """Send, and read the answer, which may come before all is sent; None if the client leaves before it comes."""
    request = sending.request
    if request.leave_seconds is None and (len(request.pieces) == 1 or not request.reads_while_sending):
        await sending.run(connection)
        return await connection.read_answer()
    reading = asyncio.create_task(connection.read_answer())
    writing = asyncio.create_task(sending.run(connection))
    try:
        if request.leave_seconds is None:
            return await reading
        await writing
        done, _ = await asyncio.wait({reading}, timeout=request.leave_seconds)
        return reading.result() if done else None
    finally:
        reading.cancel()
        writing.cancel()
        await asyncio.gather(reading, writing, return_exceptions=True)


def problem_code(answer: Answer) -> str:
    """Read the code of a problem; "" if the answer is none."""
    if answer.headers.get("content-type") != "application/problem+json":
        return ""
    try:
        return str(json.loads(answer.body)["code"])
    except (ValueError, LookupError, TypeError):
        return "unreadable"


def _stays_open(outcome: Outcome) -> bool:
    if outcome.answer is None or not outcome.request.is_whole:
        return False
    return math.isfinite(outcome.sent) and outcome.answer.headers.get("connection") != "close"
