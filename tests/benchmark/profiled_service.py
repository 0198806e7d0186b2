"""Our service with a clock around the steps of a prediction: `python -m tests.benchmark.profiled_service FILE.json`.

first bytes -> HTTP -> application -> form parse -> queue -> decode -> prepare -> engine -> review -> answer
                 ^                                                                                      |
                 +------------------------------- response, next request -------------------------------+

The functions are found by their names and replaced before anything calls them; the service itself has no hooks. One
request comes after the other, and of each only one step runs at a time, in whichever thread: its CPU time is that of
the whole process, the engine's threads included.
"""

import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce, wraps
from pathlib import Path
from typing import Any

HTTP, QUEUE, ANSWER, OTHER = "HTTP parse and event loop", "queue hand-over", "answer", "other"
PARTS = (HTTP, "form parse", QUEUE, "decode", "prepare", "engine", "review", ANSWER, OTHER)
# Of each step the functions that take it; what lies between them is "other", and behind the queue "answer".
STEPS: Mapping[str, Sequence[str]] = {
    "form parse": ("api.body:read_image",),  # first: FastAPI keeps the function that it is given, as it is then
    QUEUE: ("api.queue:InferenceQueue.run_steps",),
    "decode": ("model.decoding:open_image", "model.decoding:decode_opened"),
    "prepare": ("model.preprocessing:resize_image", "model.preprocessing:normalize_image"),
    "engine": ("model.engines.onnx_engine:OnnxEngine.predict",),
    "review": (
        "model.reliability.probabilities:softmax",
        "model.reliability.appearance:describe_appearance",
        "model.reliability.reliability:ReliabilityCheck.assess",
    ),
    OTHER: ("api.queue:_Turn.advance",),
}
ARRIVAL = "api.server.connections:BoundedProtocol.data_received"
APPLICATION = "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.run_asgi"
_Function = Callable[..., Any]


class Timeline:
    """Charges the time to one part after another, so that the parts of a request sum to the whole.

    Attributes:
        requests: Of each request the seconds, (wall, CPU), by part. Between two requests only CPU counts: that of the
            event loop; the rest is the client's.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, list[float]]] = []
        self._part, self._is_idle = HTTP, True
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def begin(self) -> None:
        """Begin a request, unless one is under way."""
        if self._is_idle:
            self.enter(HTTP)
            self.requests.append({})
            self._is_idle = False

    def end(self) -> None:
        """End the request."""
        self.enter(HTTP)
        self._is_idle = True

    def enter(self, part: str) -> str:
        """Charge what has passed to the part until now, which is returned, and what comes to the next one."""
        wall, cpu = time.perf_counter(), time.process_time()
        if self.requests:
            spent = self.requests[-1].setdefault(self._part, [0.0, 0.0])
            spent[0] += 0.0 if self._is_idle else wall - self._wall
            spent[1] += cpu - self._cpu
        last, self._part, self._wall, self._cpu = self._part, part, wall, cpu
        return last

    @contextmanager
    def within(self, part: str, after: str | None = None) -> Iterator[None]:
        """Charge the block to a part; what comes behind it to `after`, by default to the part around it."""
        around = self.enter(part)
        try:
            yield
        finally:
            self.enter(after or around)


def serve(file: Path) -> None:
    """Serve until a signal comes, then write what was measured."""
    from api.__main__ import main  # before NumPy, whose threads it limits: not in the benchmark's own process

    timeline = Timeline()
    not_found = install(timeline)
    try:
        main([])
    finally:
        file.write_text(json.dumps({"not_found": not_found, "requests": timeline.requests}), encoding="utf-8")


def install(timeline: Timeline) -> list[str]:
    """Put a clock around every function named above; return the names that nothing has."""
    clocks: dict[str, Callable[[_Function], _Function]] = {
        name: partial(clock, timeline, part, ANSWER if part == QUEUE else None)
        for part, names in STEPS.items()
        for name in names
    }
    clocks |= {ARRIVAL: partial(_clock_arrival, timeline), APPLICATION: partial(_clock_application, timeline)}
    return [name for name, wrap in clocks.items() if not replace(name, wrap)]


def replace(name: str, wrap: Callable[[_Function], _Function]) -> bool:
    """Replace "module:function" or "module:Class.method" wherever it was imported; False if there is none."""
    module, _, path = name.partition(":")
    *owners, attribute = path.split(".")
    try:
        owner: Any = reduce(getattr, owners, importlib.import_module(module))
        function = getattr(owner, attribute)
    except (ImportError, AttributeError):
        return False
    wrapped = wrap(function)
    setattr(owner, attribute, wrapped)
    for importer in list(sys.modules.values()):
        if getattr(importer, "__dict__", {}).get(attribute) is function:
            setattr(importer, attribute, wrapped)
    return True


def clock(timeline: Timeline, part: str, after: str | None, function: _Function) -> _Function:
    """Wrap a function, or one whose result is awaited, so that its time is that of a part."""
    if inspect.iscoroutinefunction(function):
        return wraps(function)(_clock_awaited(timeline, part, after, function))

    @wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        with timeline.within(part, after):
            return function(*arguments, **options)

    return timed


def _clock_awaited(timeline: Timeline, part: str, after: str | None, function: _Function) -> _Function:
    async def timed(*arguments: Any, **options: Any) -> Any:
        with timeline.within(part, after):
            return await function(*arguments, **options)

    return timed


def _clock_arrival(timeline: Timeline, receive_data: _Function) -> _Function:
    """Let a request begin with its first bytes."""

    @wraps(receive_data)
    def timed(*arguments: Any) -> None:
        timeline.begin()
        receive_data(*arguments)

    return timed


def _clock_application(timeline: Timeline, run: _Function) -> _Function:
    """Let the request end when the application returns; what that receives and sends passes through the server."""

    @wraps(run)
    async def timed(cycle: Any, app: Any) -> None:
        async def call(scope: Any, receive: _Function, send: _Function) -> None:
            timeline.begin()  # where its arrival was not seen
            with timeline.within(OTHER):
                await app(scope, *(_clock_awaited(timeline, HTTP, None, function) for function in (receive, send)))
            timeline.end()

        await run(cycle, call)

    return timed


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
