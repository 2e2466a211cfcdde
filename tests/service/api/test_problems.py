"""Every error is a problem document that names the field and the request."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.storage import Partials
from tests.service.api.running import Running, problem, run

RECIPE = {"steps": [{"kind": "set_alpha", "alpha": 3}]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/jobs/", 404),
        ("GET", "/v1/jobs/job_1", 404),
        ("GET", "/v1/models/mdl_1", 404),
        ("GET", "/v1/datasets/dst_1", 404),
        ("GET", "/v1/uploads/upl_1", 404),
        ("GET", "/v1/uploads/..%2f..%2fetc%2fpasswd", 404),
        ("GET", f"/v1/blobs/sha256:{'0' * 64}", 404),
        ("GET", "/v1/blobs/sha256:xyz", 422),
        ("GET", "/v1/jobs/job_1/events", 404),
        ("GET", f"/v1/jobs/{'j' * 65}", 422),
        ("GET", "/v1/jobs?limit=0", 422),
        ("GET", "/v1/jobs?state=lost", 422),
        ("DELETE", "/v1/models/mdl_1", 404),
        ("POST", "/v1/jobs/job_1/cancel", 404),
    ],
)
def test_what_is_not_there_or_not_allowed_is_a_problem(server: Running, method: str, path: str, status: int) -> None:
    assert problem(server.client.request(method, path))["status"] == status


def test_an_unsupported_method_gets_the_supported_ones(server: Running) -> None:
    response = server.client.put("/v1/uploads/upl_1")
    assert problem(response)["status"] == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "a", "name": "b", "size": 1}',
        b'{"name": "a", "size": NaN}',
        b'{"name": "a", "size": 1e999}',
        b'{"name": "\\ud800", "size": 1}',
        b'\xff{"name": "a", "size": 1}',
        b"[" * 100_000,
        b'{"name": "a", "size": ' + b"9" * 5000 + b"}",
    ],
)
def test_json_that_is_not_proper_is_refused(server: Running, body: bytes) -> None:
    response = server.client.post("/v1/uploads", content=body, headers={"Content-Type": "application/json"})
    assert problem(response)["code"] == "malformed-json"


def test_bodies_are_bounded_and_of_their_type(server: Running) -> None:
    large = json.dumps({"name": "a" * 2**20, "size": 1})
    assert (
        problem(server.client.post("/v1/uploads", content=large, headers={"Content-Type": "application/json"}))[
            "status"
        ]
        == 413
    )
    chunked = server.client.post(
        "/v1/uploads", content=iter([b" " * 2**19] * 3), headers={"Content-Type": "application/json"}
    )
    assert problem(chunked)["status"] == 413
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = server.client.post(
            "/v1/uploads", content=b'{"name": "a", "size": 1}', headers={"Content-Type": kind}
        )
        assert problem(response)["status"] == 415
    patch = server.client.patch("/v1/uploads/upl_1", content=b"x", headers={"Upload-Offset": "0"})
    assert problem(patch)["status"] == 415


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"kind": "calibrate", "recipe": RECIPE}, {"model", "recipe.steps[0].alpha"}),
        ({"recipe": RECIPE}, {"kind", "model", "recipe.steps[0].alpha"}),
        ({"kind": "calibrate", "model": "m", "recipe": {"steps": []}}, {"recipe.steps"}),
        ({"kind": "calibrate", "model": "m", "recipe": {"steps": [{"kind": "fine_tune"}]}}, {"recipe.steps[0]"}),
        ({"kind": "calibrate", "model": "m", "recipe": 3}, {"recipe"}),
        ({"kind": "calibrate", "model": "m", "settings": {"threads": 0}}, {"settings.threads"}),
        ({"kind": "finetune", "model": "m"}, {"kind"}),
        ({"kind": "calibrate", "model": "m", "extra": 1}, {"extra"}),
    ],
)
def test_each_bad_field_of_a_job_has_its_path(server: Running, body: dict[str, Any], paths: set[str]) -> None:
    error = problem(server.client.post("/v1/jobs", json=body))
    assert error["status"] == 422
    assert {field["path"] for field in error["errors"]} == paths


def test_a_request_keeps_its_identity(server: Running) -> None:
    assert server.client.get("/livez", headers={"X-Request-ID": "mine-1.2_3"}).headers["x-request-id"] == "mine-1.2_3"
    forged = server.client.get("/livez", headers={"X-Request-ID": "a b\x01" + "c" * 200}).headers["x-request-id"]
    assert forged.isalnum()
    assert server.client.get("/livez").headers["x-request-id"] != server.client.get("/livez").headers["x-request-id"]


def test_an_internal_error_reveals_no_internals(server: Running, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data" / "afternorm.sqlite3") as connection:
        connection.execute("ALTER TABLE models RENAME TO elsewhere")
    connection.close()
    response = server.client.get("/v1/models")
    assert problem(response)["code"] == "internal"
    assert "elsewhere" not in response.text
    assert "sqlite" not in response.text.lower()
    assert 'path="/v1/models",status="500"' in server.client.get("/metrics").text


def test_a_busy_database_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.db.database.BUSY_SECONDS", 0.05)
    with run(tmp_path) as server, closing(sqlite3.connect(tmp_path / "afternorm.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        response = server.client.post("/v1/uploads", json={"name": "a", "size": 1})
        assert problem(response)["status"] == 503
        assert response.headers["retry-after"] == "1"
        assert server.client.get("/v1/jobs").status_code == 200


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    with run(tmp_path) as server:
        upload = server.client.post("/v1/uploads", json={"name": "a", "size": 100}).json()["id"]
        place = Partials(tmp_path)._path(upload)
        place.unlink()
        place.symlink_to("/dev/full")
        assert problem(server.append(upload, 0, b"x" * 100))["status"] == 507
