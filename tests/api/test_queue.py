import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from api.exceptions import ClientGoneError, DeadlinePassedError, QueueFullError
from api.queue import InferenceQueue, QueuedResult, in_one_step
from tests.api.problems import check_problem

Scenario = Callable[[InferenceQueue], Awaitable[None]]


def with_queue(
    num_threads: int = 1, max_queue: int = 8, timeout_seconds: float = 5
) -> Callable[[Scenario], Callable[[], None]]:
    """Make a test of a coroutine that takes a queue."""

    def decorate(scenario: Scenario) -> Callable[[], None]:
        async def run() -> None:
            queue = InferenceQueue(num_threads, max_queue, timeout_seconds)
            async with asyncio.timeout(60):  # a lost place would wait for ever
                await scenario(queue)
            assert (await asyncio.wait_for(queue.run(lambda: 7), 2)).result == 7, "a place or a thread is lost"
            queue.close()

        return lambda: asyncio.run(run())

    return decorate


@asynccontextmanager
async def busy(queue: InferenceQueue, num_calls: int = 1) -> AsyncIterator[None]:
    """Calls that are under way until the block ends."""
    release = threading.Event()
    calls = await begin(*(queue.run(release.wait) for _ in range(num_calls)))
    yield
    release.set()
    await asyncio.gather(*calls)


async def begin(*calls):
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0.01)
    return tasks


@with_queue()
async def test_a_call_is_run_and_its_wait_is_measured(queue):
    first, second = await asyncio.gather(queue.run(lambda: time.sleep(0.1)), queue.run(lambda: "done"))
    assert second.result == "done"
    assert first.queue_ms < 50
    assert second.queue_ms >= 90


@with_queue(max_queue=16)
async def test_a_thread_makes_the_steps_of_its_share_in_turn_and_errors_end_their_own_alone(queue):
    made: list[str] = []

    def make(name, fails):
        for number in range(3):
            made.append(f"{name}{number}")
            yield
            if fails:
                raise ZeroDivisionError
        return name

    async with busy(queue):
        waiting = await begin(*(queue.run_steps(make(name, name == "b")) for name in "abcde"))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [result.result for result in results if isinstance(result, QueuedResult)] == list("acde")
    assert made == ["a0", "b0", "c0", "d0", "a1", "c1", "d1", "a2", "c2", "d2", "e0", "e1", "e2"]


@with_queue(max_queue=2)
async def test_one_too_many_is_refused_at_once_and_the_place_is_free_again_later(queue):
    async with busy(queue, 2):
        with pytest.raises(QueueFullError):
            await queue.run(lambda: None)


@with_queue(max_queue=1)
async def test_a_patient_call_gets_the_next_place_before_those_that_come_later(queue):
    async with busy(queue):
        patient = await begin(*(queue.run_patiently(in_one_step(lambda: "served")) for _ in range(3)))
    with pytest.raises(QueueFullError):
        await queue.run(lambda: None)
    assert [queued.result for queued in await asyncio.gather(*patient)] == ["served"] * 3


@with_queue(max_queue=4)
async def test_patient_calls_leave_half_of_the_places_to_others(queue):
    release = threading.Event()
    patient = await begin(*(queue.run_patiently(in_one_step(release.wait)) for _ in range(20)))
    others = await begin(*(queue.run(lambda: "served") for _ in range(2)))
    with pytest.raises(QueueFullError):
        await queue.run(lambda: None)
    release.set()
    assert [queued.result for queued in await asyncio.gather(*others)] == ["served"] * 2
    await asyncio.gather(*patient)


@with_queue(max_queue=1)
async def test_a_patient_client_that_leaves_takes_no_place(queue):
    gone = asyncio.Event()
    async with busy(queue):
        (patient,) = await begin(queue.run_patiently(in_one_step(lambda: None), gone.wait))
        gone.set()
        with pytest.raises(ClientGoneError):
            await patient


@with_queue(max_queue=2, timeout_seconds=0.05)
async def test_a_call_that_waits_too_long_fails_and_keeps_no_place(queue):
    async with busy(queue):
        for _ in range(3):
            with pytest.raises(DeadlinePassedError):
                await queue.run(lambda: None)


@pytest.mark.parametrize("method", ["run_steps", "run_patiently"])
def test_an_error_of_the_call_comes_back_and_frees_its_thread_and_its_place(method):
    @with_queue(max_queue=1)
    async def scenario(queue):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(getattr(queue, method)(in_one_step(lambda: 1 // 0)), 2)

    scenario()


@with_queue()
async def test_a_client_that_has_gone_is_not_served_and_keeps_no_place(queue):
    gone, calls = asyncio.Event(), []
    async with busy(queue):
        waiting = await begin(*(queue.run(lambda: calls.append(1), gone.wait) for _ in range(3)))
        (staying,) = await begin(queue.run(lambda: "served", asyncio.Event().wait))
        gone.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, ClientGoneError) for result in results)
    assert (await staying).result == "served"
    assert not calls


@with_queue()
async def test_a_request_that_is_cancelled_gives_its_turn_back(queue):
    async with busy(queue):
        (waiting,) = await begin(queue.run(lambda: None))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@with_queue()
async def test_listeners_get_the_number_of_requests_under_way(queue):
    depths: list[int] = []
    queue.add_depth_listener(depths.append)
    await asyncio.gather(*(queue.run(lambda: None) for _ in range(3)))
    assert sorted(depths) == [0, 1, 1, 2, 2, 3]


def test_a_passed_deadline_is_a_504(client, scan, monkeypatch):
    async def refuse(_call, _watch):
        raise DeadlinePassedError("late")

    monkeypatch.setattr(client.app.state.service.queue, "run_steps", refuse)
    check_problem(client.post("/predict", content=scan), 504, "deadline_passed")


def test_with_a_full_queue_predictions_are_refused_and_counted_while_probes_are_answered(client, scan):
    queue, release = client.app.state.service.queue, threading.Event()
    for _ in range(64):
        client.portal.start_task_soon(queue.run, release.wait)
    while not queue.is_full:
        time.sleep(0.01)
    for path in ("/predict", "/predict/visualize"):
        response = client.post(path, content=scan)
        check_problem(response, 503, "queue_full")
        assert response.headers["retry-after"]
    start = time.perf_counter()
    assert client.get("/readyz").status_code == 200
    assert time.perf_counter() - start < 1
    samples = client.get("/metrics").text
    assert 'http_requests_total{method="POST",path="/predict",status="503"} 1.0' in samples
    assert 'brain_mri_rejections_total{code="queue_full"} 2.0' in samples
    release.set()


def test_the_engine_learns_how_many_images_are_under_way(client, scan, monkeypatch):
    expected: list[int] = []
    monkeypatch.setattr(client.app.state.service.classifier._engine, "expect", expected.append)
    assert client.post("/predict", content=scan).status_code == 200
    assert expected == [1, 0]
