"""Events are sent once each and in order, however often the client reconnects."""

import json
import threading
import time
from pathlib import Path

import pytest
from httpx2 import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.api.running import Running, listening, run

STREAM = {"Accept": "text/event-stream"}


def event_ids(text: str) -> list[int]:
    """The ids in a stream of events."""
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


def ended_job(server: Running, progress: int) -> tuple[str, list[int]]:
    job = server.job(server.model(), server.dataset())
    server.set_state(job, "running")
    for done in range(progress):
        server.add_event(job, "progress", {"stage": "alpha", "done": done, "total": progress})
    server.set_state(job, "succeeded")
    return job, [event["id"] for event in server.client.get(f"/v1/jobs/{job}/events?limit=200").json()["data"]]


def test_the_stream_of_an_ended_job_is_its_list(server: Running) -> None:
    job, ids = ended_job(server, 3)
    response = server.client.get(f"/v1/jobs/{job}/events", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert event_ids(response.text) == ids
    data = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]
    assert data == server.client.get(f"/v1/jobs/{job}/events").json()["data"]
    assert [event["data"] for event in data if event["type"] == "state"] == [
        {"state": "queued"},
        {"state": "running"},
        {"state": "succeeded"},
    ]


@given(known=st.integers(0, 12), limit=st.integers(1, 7))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_comes_after_an_event_is_the_rest(server: Running, known: int, limit: int) -> None:
    job, ids = ended_job(server, 9)
    last = ids[known - 1] if known else 0
    resumed = server.client.get(f"/v1/jobs/{job}/events", headers=STREAM | {"Last-Event-ID": str(last)})
    assert event_ids(resumed.text) == ids[known:]
    assert resumed.status_code == (200 if ids[known:] else 204)
    page = server.client.get(f"/v1/jobs/{job}/events?after={last}&limit={limit}").json()
    assert [event["id"] for event in page["data"]] == ids[known:][:limit]
    assert page["has_more"] == (len(ids[known:]) > limit)


def test_a_stream_longer_than_a_batch_is_whole(server: Running) -> None:
    job, ids = ended_job(server, 198)
    stream = server.client.get(f"/v1/jobs/{job}/events", headers=STREAM)
    rest = server.client.get(f"/v1/jobs/{job}/events?limit=200&after={ids[-1]}").json()
    assert event_ids(stream.text) == [*ids, *(event["id"] for event in rest["data"])]
    assert len(event_ids(stream.text)) == 201


def test_a_client_that_breaks_off_and_resumes_misses_nothing(tmp_path: Path) -> None:
    with run(tmp_path) as server, listening(server) as port, Client(base_url=f"http://127.0.0.1:{port}") as client:
        job = server.job(server.model(), server.dataset())
        writer = threading.Thread(target=_live, args=(server, job))
        writer.start()
        seen: list[int] = []
        status = 200
        while status == 200:
            headers = STREAM | {"Last-Event-ID": str(seen[-1] if seen else 0)}
            with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as stream:
                status = stream.status_code
                for line in stream.iter_lines():
                    if line.startswith("id: "):
                        seen.append(int(line.removeprefix("id: ")))
                        if len(seen) % 7 == 0:
                            break
        writer.join()
        listed = server.client.get(f"/v1/jobs/{job}/events?limit=200").json()["data"]
    assert seen == [event["id"] for event in listed]
    assert len(seen) == 33
    assert status == 204


def _live(server: Running, job: str) -> None:
    server.set_state(job, "running")
    for done in range(30):
        server.add_event(job, "progress", {"stage": "alpha", "done": done, "total": 30})
        time.sleep(0.02)
    server.set_state(job, "succeeded")


def test_an_idle_stream_gets_heartbeats_and_ends_when_the_job_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.event_stream.HEARTBEAT_SECONDS", 0.05)
    with run(tmp_path) as server, listening(server) as port, Client(base_url=f"http://127.0.0.1:{port}") as client:
        job = server.job(server.model(), server.dataset())
        with client.stream("GET", f"/v1/jobs/{job}/events", headers=STREAM) as stream:
            lines = stream.iter_lines()
            while not next(lines).startswith(":"):
                pass
            server.client.post(f"/v1/jobs/{job}/cancel")
            server.client.delete(f"/v1/jobs/{job}")
            assert len([line for line in lines if line.startswith("id: ")]) <= 1
