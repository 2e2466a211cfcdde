"""Models and datasets are registered, checked by a job, and used only once they are ready."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.db.tables import models
from tests.service.api.running import Running, problem, run


def settle(server: Running, **values: Any) -> None:
    """End the check of the only model, as soon as there is one."""
    while not (found := server.client.get("/v1/models").json()["data"]):
        time.sleep(0.01)
    with server.backend.database.write() as connection:
        connection.execute(update(models).where(models.c.id == found[0]["id"]).values(**values))


def test_registering_waits_for_the_check(tmp_path: Path) -> None:
    with run(tmp_path, check_wait_seconds=300) as server:
        body = {
            "upload": server.upload(b"w", "../net (1).pth"),
            "architecture": "cifar/resnet8",
            "class_names": ["a", "b"],
        }
        worker = threading.Thread(target=settle, args=(server,), kwargs={"state": "ready", "facts": {"parameters": 7}})
        worker.start()
        response = server.client.post("/v1/models", json=body)
        worker.join()
        assert response.status_code == 201
        model = server.client.get(response.headers["location"]).json()
        assert model == response.json()
        assert model["facts"] == {"parameters": 7}
        assert (model["name"], model["file_name"]) == ("../net (1).pth", "net_1_.pth")
        assert model["class_names"] == ["a", "b"]


def test_a_refused_file_is_a_problem_with_the_checks_own_code(tmp_path: Path) -> None:
    with run(tmp_path, check_wait_seconds=300) as server:
        body = {"upload": server.upload(b"w", "net.pth"), "architecture": "cifar/resnet8"}
        why = {"title": "Unsafe", "status": 422, "code": "unsafe-input", "detail": "it runs code"}
        worker = threading.Thread(target=settle, args=(server,), kwargs={"state": "refused", "problem": why})
        worker.start()
        response = server.client.post("/v1/models", json=body)
        worker.join()
        assert response.status_code == 422
        assert problem(response)["code"] == "unsafe-input"
        model = server.client.get(response.headers["location"]).json()
        assert (model["state"], model["problem"]["detail"]) == ("refused", "it runs code")


def test_registering_queues_a_check_and_does_not_wait_for_ever(server: Running) -> None:
    response = server.client.post("/v1/datasets", json={"upload": server.upload(b"d", "d.npz"), "class_map": {"a": 3}})
    assert (response.status_code, response.json()["state"], response.json()["class_map"]) == (202, "checking", {"a": 3})
    [check] = server.client.get("/v1/jobs").json()["data"]
    assert (check["kind"], check["state"], check["dataset"]) == ("check", "queued", response.json()["id"])


def test_a_dataset_says_its_part_and_how_many_images_may_be_broken(server: Running) -> None:
    body = {"upload": server.upload(b"d", "d.npz"), "split": "val", "skip_broken": 2}
    made = server.client.post("/v1/datasets", json=body).json()
    assert (made["split"], made["skip_broken"]) == ("val", 2)
    usual = server.client.post("/v1/datasets", json={"upload": server.upload(b"d", "d.npz")}).json()
    assert (usual["split"], usual["skip_broken"]) == (None, 0)
    refused = server.client.post("/v1/datasets", json={**body, "skip_broken": -1})
    assert refused.status_code == 422


def test_a_blob_is_registered_like_an_upload(server: Running) -> None:
    blob = server.client.get(f"/v1/uploads/{server.upload(b'd')}").json()["blob"]
    response = server.client.post("/v1/datasets", json={"blob": blob, "file_name": "again.npz", "name": "mine"})
    assert response.status_code == 202
    assert {response.json()[key] for key in ("blob", "file_name", "name")} == {blob, "again.npz", "mine"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"upload": "upl_1", "blob": f"sha256:{'0' * 64}", "file_name": "a.npz"}, ""),
        ({"blob": f"sha256:{'0' * 64}"}, ""),
        ({"upload": "upl_1", "file_name": "a.pth"}, ""),
        ({"upload": "upl_1"}, "upload"),
        ({"blob": f"sha256:{'0' * 64}", "file_name": "a.pth"}, "blob"),
        ({"upload": "here", "architecture": "os:system"}, "architecture"),
        ({"upload": "program"}, "upload"),
        ({"upload": "here", "preprocessing": {"std": [0, 1, 1]}}, "preprocessing.std[0]"),
    ],
)
def test_a_file_that_is_not_permitted_is_refused_with_the_path_of_the_field(
    server: Running, body: dict[str, Any], path: str
) -> None:
    there = {"here": server.upload(b"w"), "program": server.upload(b"w", "net.PT2")}
    body = {**body, **({"upload": there[body["upload"]]} if body.get("upload") in there else {})}
    error = problem(server.client.post("/v1/models", json=body))
    assert error["status"] == 422
    assert [field["path"] for field in error["errors"]] == [path]
    assert server.client.get("/v1/models").json()["data"] == []


def test_an_upload_that_is_not_complete_cannot_be_registered(server: Running) -> None:
    upload = server.client.post("/v1/uploads", json={"name": "a.pth", "size": 2}).json()["id"]
    server.append(upload, 0, b"a")
    assert problem(server.client.post("/v1/models", json={"upload": upload}))["status"] == 409


def test_an_allowed_factory_is_accepted(tmp_path: Path) -> None:
    with run(tmp_path, factories=("our.nets:small",)) as server:
        body = {"upload": server.upload(b"w"), "architecture": "our.nets:small", "architecture_args": {"deep": [1]}}
        response = server.client.post("/v1/models", json=body)
        assert response.status_code == 202
        assert response.json()["architecture_args"] == {"deep": [1]}
