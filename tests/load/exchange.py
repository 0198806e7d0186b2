"""One request on its way: sent, with a response or without, and when."""

import asyncio
import math
import time
from dataclasses import dataclass
from enum import StrEnum

from tests.load.connection import Connection, LostError, Response
from tests.load.request import Request


class End(StrEnum):
    """How an exchange may end."""

    COMPLETE = "complete"
    LOST = "lost"  # the connection ended without a complete response
    REFUSED = "refused"  # nobody listened
    HUNG = "hung"  # no complete response within the client's limit
    LEFT = "left"  # the client went away, as it had meant to


@dataclass(frozen=True)
class Outcome:
    """The end of an exchange; times are those of `time.monotonic`, in seconds.

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
    num_sent_bytes: int = 0
    response: Response | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.begun

    @property
    def label(self) -> str:
        """The response's label, or how the exchange ended without one."""
        return str(self.end) if self.response is None else self.response.label

    @property
    def keeps_connection(self) -> bool:
        """Whether another request may follow on the same connection."""
        if self.response is None or not self.request.is_whole or math.isinf(self.sent):
            return False
        return self.response.headers.get("connection") != "close"


async def exchange(port: int, request: Request, limit_seconds: float, connection: Connection | None = None) -> Outcome:
    """Send a request and wait for its response.

    Args:
        connection: An open one, which is left open; by default a new one, which is closed.
    """
    begun, sending = time.monotonic(), _Sending()
    link, response = connection, None
    try:
        async with asyncio.timeout(limit_seconds):
            link = link or await Connection.open(port)
            response = await _converse(link, request, sending)
            end = End.LEFT if response is None else End.COMPLETE
    except TimeoutError:
        end = End.HUNG
    except ConnectionRefusedError:
        end = End.REFUSED
    except (LostError, ConnectionError):
        end = End.LOST
    finally:
        if link is not None and connection is None:
            link.close()
    return Outcome(request, end, begun, sending.ended, time.monotonic(), sending.num_bytes, response)


@dataclass
class _Sending:
    num_bytes: int = 0
    ended: float = math.inf

    async def run(self, connection: Connection, request: Request) -> None:
        for number, piece in enumerate(request.pieces):
            if number and request.pause_seconds:
                await asyncio.sleep(request.pause_seconds)
            if not await connection.send(piece):
                return
            self.num_bytes += len(piece)
        self.ended = time.monotonic()


async def _converse(connection: Connection, request: Request, sending: _Sending) -> Response | None:
    """Send, and read the response, which may come before all is sent; None if the client leaves before it comes."""
    if request.leave_seconds is None and (len(request.pieces) == 1 or not request.reads_while_sending):
        await sending.run(connection, request)
        return await connection.read_response()
    reading = asyncio.create_task(connection.read_response())
    writing = asyncio.create_task(sending.run(connection, request))
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
