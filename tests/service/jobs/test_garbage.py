"""Garbage is what nothing refers to, and only once it is old."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from service.db.tables import blobs, idempotency_keys, uploads
from service.jobs.garbage import Garbage, collect
from tests.service.api.running import Running, run

LONG_AGO = time.time() - 30 * 24 * 3600.0


def sweep(server: Running, *, dry_run: bool = False) -> Garbage:
    backend = server.backend
    return collect(backend.database, backend.blobs, backend.partials, dry_run=dry_run)


def age(server: Running) -> None:
    """Make everything that is stored a month old."""
    for path in server.backend.settings.data_dir.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))
    with server.backend.database.write() as connection:
        connection.execute(update(blobs).values(created_at=LONG_AGO))
        connection.execute(update(uploads).values(expires_at=LONG_AGO))
        connection.execute(update(idempotency_keys).values(created_at=LONG_AGO))


def sha256(server: Running, upload: str) -> str:
    return str(server.client.get(f"/v1/uploads/{upload}").json()["blob"]).removeprefix("sha256:")


def test_nothing_young_is_garbage(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        server.client.delete(f"/v1/uploads/{server.upload(b'orphan')}")
        server.client.post("/v1/uploads", json={"name": "a", "size": 3})
        assert sweep(server) == Garbage((), (), (), 0)


def test_what_is_referred_to_stays_and_the_rest_goes(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        model, dataset = server.model(content=b"model"), server.dataset()
        job = server.job(model, dataset)
        server.add_artifact(job, "report.txt", b"report")
        server.add_trial(job, "alpha", b"logits")
        finished = server.upload(b"finished")
        orphan = sha256(server, finished)
        half = server.client.post("/v1/uploads", json={"name": "a", "size": 3}).json()["id"]
        server.append(half, 0, b"ab")
        (tmp_path / "staging" / "left").write_bytes(b"left")
        (tmp_path / "uploads" / "upl_left.part").write_bytes(b"left")
        age(server)
        listed = sweep(server, dry_run=True)
        assert {blob.sha256 for blob in listed.blobs} == {orphan}
        assert {finished, half} < set(listed.uploads)
        assert set(listed.leftovers) == {"left", "upl_left"}
        assert server.client.get(f"/v1/blobs/sha256:{orphan}").content == b"finished"
        assert server.client.get(f"/v1/uploads/{half}").json()["offset"] == 2
        assert sweep(server) == listed
        assert sweep(server) == Garbage((), (), (), 0)
        assert server.client.get(f"/v1/blobs/sha256:{orphan}").status_code == 404
        assert server.client.get(f"/v1/uploads/{half}").status_code == 404
        assert server.client.get(f"/v1/jobs/{job}/artifacts/report.txt").content == b"report"
        assert len(list((tmp_path / "sha256").glob("??/*"))) == 4
        assert list((tmp_path / "uploads").iterdir()) == list((tmp_path / "staging").iterdir()) == []


def test_what_a_deleted_job_left_is_garbage(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        job = server.job(server.model(), server.dataset())
        stored = {server.add_artifact(job, "report.txt", b"report"), server.add_artifact(job, "other.txt", b"other")}
        server.set_state(job, "succeeded")
        age(server)
        assert not sweep(server, dry_run=True).blobs
        server.client.delete(f"/v1/jobs/{job}")
        assert {blob.sha256 for blob in sweep(server).blobs} == stored


def test_bytes_that_are_stored_again_meanwhile_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run(tmp_path) as server:
        upload = server.upload(b"again")
        digest = sha256(server, upload)
        server.client.delete(f"/v1/uploads/{upload}")
        age(server)
        found = server.backend.blobs.older_than

        def found_and_then_stored(seconds: float):
            blobs_found = list(found(seconds))
            server.upload(b"again")
            return blobs_found

        monkeypatch.setattr(server.backend.blobs, "older_than", found_and_then_stored, raising=False)
        assert sweep(server).blobs == ()
        assert server.client.get(f"/v1/blobs/sha256:{digest}").content == b"again"


def test_an_upload_that_is_still_written_to_stays_though_its_time_is_over(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        upload = server.client.post("/v1/uploads", json={"name": "a", "size": 3}).json()["id"]
        age(server)
        server.append(upload, 0, b"ab")
        assert sweep(server).uploads == ()
        assert server.append(upload, 2, b"c").status_code == 204


def test_expired_keys_are_deleted(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        body = {"kind": "calibrate", "model": server.model(), "dataset": server.dataset()}
        first = server.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}).json()["id"]
        age(server)
        assert sweep(server).idempotency_keys == 1
        assert server.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}).json()["id"] != first
