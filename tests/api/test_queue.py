import asyncio
import threading
import time

import pytest

from api.exceptions import ClientGoneError, DeadlinePassedError, QueueFullError
from api.queue import InferenceQueue
from tests.api.problems import check_problem


def test_a_call_is_run_and_its_wait_is_measured():
    async def scenario():
        queue = InferenceQueue(1, 4, 5)
        first, second = await asyncio.gather(queue.run(lambda: time.sleep(0.1)), queue.run(lambda: "done"))
        queue.close()
        return first, second

    first, second = asyncio.run(scenario())
    assert second.result == "done"
    assert first.queue_ms < 50
    assert second.queue_ms >= 90


def test_one_too_many_is_refused_at_once_and_the_place_is_free_again_later():
    async def scenario():
        queue, release = InferenceQueue(1, 2, 5), threading.Event()
        waiting = [asyncio.create_task(queue.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await queue.run(lambda: None)
        release.set()
        await asyncio.gather(*waiting)
        assert (await queue.run(lambda: 7)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_who_is_patient_gets_the_next_place_before_those_who_come_later():
    async def scenario():
        queue, release = InferenceQueue(1, 1, 5), threading.Event()
        running = asyncio.create_task(queue.run(release.wait))
        await asyncio.sleep(0.01)
        patient = [asyncio.create_task(queue.run_patiently(lambda: "served")) for _ in range(3)]
        await asyncio.sleep(0.01)
        release.set()
        await running
        with pytest.raises(QueueFullError):
            await queue.run(lambda: None)
        assert [done.result for done in await asyncio.gather(*patient)] == ["served"] * 3
        assert (await queue.run(lambda: 7)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_the_patient_leave_half_of_the_places_to_others():
    async def scenario():
        queue, release = InferenceQueue(1, 4, 5), threading.Event()
        patient = [asyncio.create_task(queue.run_patiently(release.wait)) for _ in range(20)]
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(queue.run(lambda: "served")) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await queue.run(lambda: None)
        release.set()
        assert [done.result for done in await asyncio.gather(*others)] == ["served"] * 2
        await asyncio.gather(*patient)
        queue.close()

    asyncio.run(scenario())


def test_who_waits_for_a_place_and_goes_takes_none():
    async def scenario():
        queue, release, gone = InferenceQueue(1, 1, 5), threading.Event(), asyncio.Event()
        running = asyncio.create_task(queue.run(release.wait))
        await asyncio.sleep(0.01)
        patient = asyncio.create_task(queue.run_patiently(lambda: None, gone.wait))
        await asyncio.sleep(0.01)
        gone.set()
        with pytest.raises(ClientGoneError):
            await patient
        release.set()
        await running
        assert (await queue.run(lambda: 7)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_who_waits_too_long_is_told_and_keeps_no_place():
    async def scenario():
        queue, release = InferenceQueue(1, 2, 0.05), threading.Event()
        running = asyncio.create_task(queue.run(release.wait))
        await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(DeadlinePassedError):
                await queue.run(lambda: None)
        release.set()
        await running
        assert (await queue.run(lambda: 7)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_an_error_of_the_call_comes_back_and_frees_the_thread():
    async def scenario():
        queue = InferenceQueue(1, 1, 1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await queue.run(lambda: 1 // 0)
        queue.close()

    asyncio.run(scenario())


def test_a_full_queue_and_a_passed_deadline_are_503_and_504(client, scan, monkeypatch):
    service = client.app.state.service
    for error, status in ((QueueFullError("full"), 503), (DeadlinePassedError("late"), 504)):

        async def refuse(_call, _watch, error=error):
            raise error

        monkeypatch.setattr(service.queue, "run", refuse)
        response = client.post("/predict", content=scan)
        assert response.status_code == status
        assert ("retry-after" in response.headers) == (status == 503)


def test_probes_answer_while_every_thread_is_busy(client):
    queue, release = client.app.state.service.queue, threading.Event()
    client.portal.start_task_soon(queue.run, release.wait)
    client.portal.start_task_soon(queue.run, release.wait)
    start = time.perf_counter()
    assert client.get("/readyz").status_code == 200
    assert time.perf_counter() - start < 1
    release.set()


def test_who_has_gone_is_not_served_and_keeps_no_place():
    async def scenario():
        queue, release, calls = InferenceQueue(1, 8, 5), threading.Event(), []
        running = asyncio.create_task(queue.run(release.wait))
        gone = asyncio.Event()
        waiting = [asyncio.create_task(queue.run(lambda: calls.append(1), gone.wait)) for _ in range(3)]
        staying = asyncio.create_task(queue.run(lambda: "served", asyncio.Event().wait))
        await asyncio.sleep(0.01)
        gone.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, ClientGoneError) for result in results)
        release.set()
        await running
        assert (await staying).result == "served"
        assert not calls
        assert (await queue.run(lambda: 7)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_a_request_that_is_cancelled_gives_its_turn_back():
    async def scenario():
        queue, release = InferenceQueue(1, 8, 5), threading.Event()
        running = asyncio.create_task(queue.run(release.wait))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(queue.run(lambda: None))
        await asyncio.sleep(0.01)
        release.set()
        await running
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await asyncio.wait_for(queue.run(lambda: 7), 2)).result == 7
        queue.close()

    asyncio.run(scenario())


def test_the_number_of_requests_under_way_is_told():
    depths: list[int] = []

    async def scenario():
        queue = InferenceQueue(1, 8, 5)
        queue.tell_depth(depths.append)
        await asyncio.gather(*(queue.run(lambda: None) for _ in range(3)))
        queue.close()

    asyncio.run(scenario())
    assert sorted(depths) == [0, 1, 1, 2, 2, 3]


def test_a_full_queue_refuses_at_once_and_is_counted(client, scan):
    queue, release = client.app.state.service.queue, threading.Event()
    for _ in range(64):
        client.portal.start_task_soon(queue.run, release.wait)
    while not queue.is_full:
        time.sleep(0.01)

    for path in ("/predict", "/predict/visualize"):
        response = client.post(path, content=scan)
        check_problem(response, 503, "queue_full")
        assert "retry-after" in response.headers
    samples = client.get("/metrics").text
    assert 'http_requests_total{method="POST",path="/predict",status="503"} 1.0' in samples
    assert 'brain_mri_rejections_total{code="queue_full"} 2.0' in samples
    release.set()


def test_the_engine_learns_how_many_images_are_under_way(client, scan, monkeypatch):
    expected: list[int] = []
    monkeypatch.setattr(client.app.state.service.classifier._engine, "expect", expected.append)
    assert client.post("/predict", content=scan).status_code == 200
    assert expected == [1, 0]
