"""Jobs over HTTP: validation, states, filters and idempotency."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from calibrate.recipe import PRESETS
from service.db.tables import datasets
from service.jobs.resources import JobRequest, JobSettings
from service.jobs.submission import _digest
from tests.service.api.running import Running, problem

TENT = {"kind": "adapt", "method": {"kind": "tent"}}


def test_a_job_is_shown_as_it_was_asked_for(server: Running) -> None:
    model, dataset = server.model(), server.dataset()
    body = {
        "kind": "calibrate",
        "model": model,
        "dataset": dataset,
        "recipe": {"steps": [{"kind": "set_alpha", "alpha": 0.05}, {"kind": "measure"}]},
        "outputs": {"formats": ["onnx"]},
        "settings": {"batch_size": 16, "threads": 2},
        "timeout_seconds": 60,
    }
    response = server.client.post("/v1/jobs", json=body)
    assert response.status_code == 202
    job = server.client.get(response.headers["location"]).json()
    assert job == response.json()
    assert job["state"] == "queued"
    assert job["recipe"]["steps"][0] == {"kind": "set_alpha", "alpha": 0.05, "sites": ["*"]}
    assert job["outputs"]["formats"] == ["onnx"]
    assert job["settings"] == {"batch_size": 16, "threads": 2, "device": "cpu", "autocast": None}
    assert job["timeout_seconds"] == 60


@pytest.mark.parametrize(
    ("kind", "preset"),
    [("calibrate", "quick"), ("evaluate", "measure"), ("probe", "probe"), ("adapt", "adaptation"), ("export", None)],
)
def test_without_a_recipe_a_kind_carries_out_its_own(server: Running, kind: str, preset: str | None) -> None:
    job = server.job(server.model(), server.dataset(), kind=kind)
    digest = server.client.get(f"/v1/jobs/{job}").json()["recipe_digest"]
    assert digest == (PRESETS[preset].digest if preset else None)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"kind": "probe", "recipe": "alpha"}, "recipe.steps[0].kind"),
        ({"recipe": "precise_bn"}, "recipe.steps[0].on"),
        ({"kind": "adapt", "recipe": "alpha"}, "recipe.steps[0].kind"),
        ({"kind": "probe", "recipe": {"steps": [TENT]}}, "recipe.steps[0].kind"),
        ({"kind": "adapt", "recipe": {"steps": [{**TENT, "method": {"kind": "lame"}}]}}, "recipe.steps[0]"),
        ({"kind": "export", "recipe": "alpha"}, "recipe"),
        ({"recipe": "no such preset"}, "recipe"),
        ({"kind": "evaluate", "recipe": "alpha"}, "recipe.steps[0].kind"),
        ({"dataset": None}, "dataset"),
        ({"dataset": "dst_none"}, "dataset"),
        ({"model": "mdl_none"}, "model"),
        ({"settings": {"device": "cuda"}}, "settings.device"),
    ],
)
def test_an_invalid_job_is_refused_with_the_path_of_the_field(
    server: Running, fields: dict[str, Any], path: str
) -> None:
    body = {"kind": "calibrate", "model": server.model(), "dataset": server.dataset(), **fields}
    error = problem(server.client.post("/v1/jobs", json=body))
    assert error["status"] == 422
    assert error["errors"][0]["path"] == path
    assert server.client.get("/v1/jobs?kind=calibrate").json()["data"] == []


@pytest.mark.parametrize("kind", ["adapt", "calibrate"])
def test_what_is_learned_from_a_stream_can_be_kept(server: Running, kind: str) -> None:
    steps = [TENT, {"kind": "temperature"}, {"kind": "measure"}, {"kind": "adaptation"}]
    job = server.job(server.model(), server.dataset(), kind=kind, recipe={"steps": steps})
    shown = server.client.get(f"/v1/jobs/{job}").json()["recipe"]["steps"]
    assert [step["kind"] for step in shown] == ["adapt", "temperature", "measure", "adaptation"]
    assert shown[0]["method"]["optimizer"] == {"kind": "adam", "lr": 0.001}


def test_steps_that_need_labels_are_refused_on_data_without(server: Running) -> None:
    model, dataset = server.model(), server.dataset()
    with server.backend.database.write() as connection:
        connection.execute(update(datasets).where(datasets.c.id == dataset).values(facts={"n": 3, "classes": None}))
    body = {"kind": "calibrate", "model": model, "dataset": dataset, "recipe": "adabn"}
    error = problem(server.client.post("/v1/jobs", json=body))
    assert error["status"] == 422
    assert [field["path"] for field in error["errors"]] == ["recipe.steps[1].kind", "recipe.steps[2].kind"]
    server.job(model, dataset, recipe={"steps": [{"kind": "reestimate"}]})
    server.job(model, dataset, kind="probe", recipe={"steps": [{"kind": "estimation_shift"}]})
    server.job(model, dataset, kind="export")


@pytest.mark.parametrize("state", ["checking", "refused"])
def test_only_what_is_ready_can_be_used(server: Running, state: str) -> None:
    ready, other = server.model(), server.model(state)
    dataset, other_dataset = server.dataset(), server.dataset(state)
    for model, data in ((other, dataset), (ready, other_dataset)):
        response = server.client.post("/v1/jobs", json={"kind": "calibrate", "model": model, "dataset": data})
        assert problem(response)["status"] == 409


def test_submitting_again_with_the_key_returns_the_same_job_even_concurrently(server: Running) -> None:
    body = {"kind": "calibrate", "model": server.model(), "dataset": server.dataset()}

    def submit(_: int) -> tuple[int, str]:
        response = server.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "once"})
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(submit, range(8)))
    assert sorted(status for status, _ in responses) == [200] * 7 + [202]
    assert len({job for _, job in responses}) == 1
    other = server.client.post("/v1/jobs", json=body | {"recipe": "measure"}, headers={"Idempotency-Key": "once"})
    assert problem(other)["code"] == "idempotency-key-reused"
    assert len(server.client.get("/v1/jobs?kind=calibrate").json()["data"]) == 1
    job = responses[0][1]
    server.set_state(job, "succeeded")
    assert server.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert server.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "once"}).status_code == 202


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("queued", "cancelled", 200),
        ("running", "cancelling", 202),
        ("cancelling", "cancelling", 202),
        ("succeeded", "succeeded", 200),
        ("failed", "failed", 200),
        ("cancelled", "cancelled", 200),
    ],
)
def test_cancelling_and_deleting_follow_the_state(server: Running, before: str, after: str, status: int) -> None:
    job = server.job(server.model(), server.dataset())
    if before != "queued":
        server.set_state(job, before)
    before_cancel = len(server.client.get(f"/v1/jobs/{job}/events").json()["data"])
    response = server.client.post(f"/v1/jobs/{job}/cancel")
    assert (response.status_code, response.json()["state"]) == (status, after)
    assert (response.json()["finished_at"] is not None) == (before == "queued")
    events = server.client.get(f"/v1/jobs/{job}/events").json()["data"][before_cancel:]
    assert [event["data"]["state"] for event in events] == ([after] if after != before else [])
    deleted = server.client.delete(f"/v1/jobs/{job}")
    assert deleted.status_code == (409 if after in ("queued", "running", "cancelling") else 204)
    assert server.client.get(f"/v1/jobs/{job}").status_code == (404 if deleted.status_code == 204 else 200)


def test_a_job_that_works_on_training_data_names_them(server: Running) -> None:
    trained_on = server.dataset()
    with server.backend.database.write() as connection:
        unlabelled = {"n": 3, "classes": None}
        connection.execute(update(datasets).where(datasets.c.id == trained_on).values(facts=unlabelled))
    job = server.job(server.model(), server.dataset(), recipe="precise_bn", training_dataset=trained_on)
    assert server.client.get(f"/v1/jobs/{job}").json()["training_dataset"] == trained_on
    probe = server.job(server.model(), server.dataset(), kind="probe", training_dataset=trained_on)
    assert server.client.get(f"/v1/jobs/{probe}").json()["training_dataset"] == trained_on
    without = server.job(server.model(), server.dataset())
    assert server.client.get(f"/v1/jobs/{without}").json()["training_dataset"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"recipe": "alpha"}, "no use to any step of the recipe"),
        ({"kind": "export"}, "no use to export jobs"),
        ({"recipe": "precise_bn", "training_dataset": "dst_none"}, "there is no dataset 'dst_none'; GET /v1/datasets"),
    ],
)
def test_training_data_that_cannot_be_used_are_refused(server: Running, fields: dict[str, Any], message: str) -> None:
    body = {"kind": "calibrate", "model": server.model(), "dataset": server.dataset()}
    response = server.client.post("/v1/jobs", json=body | {"training_dataset": body["dataset"]} | fields)
    error = problem(response)
    assert (error["status"], error["errors"][0]["path"]) == (422, "training_dataset")
    assert message in error["detail"]


@pytest.mark.parametrize("state", ["checking", "refused"])
def test_only_ready_training_data_can_be_used(server: Running, state: str) -> None:
    body = {"kind": "calibrate", "model": server.model(), "dataset": server.dataset(), "recipe": "precise_bn"}
    trained_on = server.dataset(state)
    error = problem(server.client.post("/v1/jobs", json={**body, "training_dataset": trained_on}))
    assert error["status"] == 409
    assert f"the dataset '{trained_on}'" in error["detail"]


def test_training_data_stay_while_a_job_refers_to_them_and_lead_to_it(server: Running) -> None:
    trained_on = server.dataset()
    job = server.job(server.model(), server.dataset(), recipe="precise_bn", training_dataset=trained_on)
    server.job(server.model(), server.dataset())
    place = f"/v1/datasets/{trained_on}"
    error = problem(server.client.delete(place))
    assert (error["code"], job in error["detail"]) == ("in-use", True)
    found = server.client.get(f"/v1/jobs?kind=calibrate&dataset={trained_on}").json()["data"]
    assert [item["id"] for item in found] == [job]
    server.client.post(f"/v1/jobs/{job}/cancel")
    assert server.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert server.client.delete(place).status_code == 204


def test_a_key_remembers_a_request_of_before_there_were_training_datasets() -> None:
    """The literal is what commit 97bd6f0 wrote down for this request."""
    request = JobRequest(kind="calibrate", model="mdl_1", dataset="dst_1", recipe="alpha")
    assert _digest(request) == "6d82f45e3da34cc86c3f5a368f15f514142f60f9a2c2a19584dac514cfb9c839"
    changes = [
        {"training_dataset": "dst_2"},
        {"settings": JobSettings(batch_size=8)},
        {"settings": JobSettings(autocast="bfloat16")},
        {"outputs": request.outputs.model_copy(update={"opset": 16})},
        {"outputs": request.outputs.model_copy(update={"dynamic": True})},
    ]
    assert len({_digest(request.model_copy(update=change)) for change in [{}, *changes]}) == len(changes) + 1


def test_what_jobs_refer_to_stays(server: Running) -> None:
    model, dataset = server.model(), server.dataset()
    job = server.job(model, dataset)
    for place in (f"/v1/models/{model}", f"/v1/datasets/{dataset}"):
        assert problem(server.client.delete(place))["code"] == "in-use"
        assert server.client.get(place).status_code == 200
    server.client.post(f"/v1/jobs/{job}/cancel")
    assert server.client.delete(f"/v1/jobs/{job}").status_code == 204
    for place in (f"/v1/models/{model}", f"/v1/datasets/{dataset}"):
        assert server.client.delete(place).status_code == 204
        assert server.client.get(place).status_code == 404
    assert server.client.get("/v1/jobs").json()["data"] == []


def test_a_model_that_is_being_checked_stays_until_the_check_has_ended(server: Running) -> None:
    model = server.model("checking")
    [check] = server.client.get("/v1/jobs?kind=check").json()["data"]
    assert problem(server.client.post(f"/v1/jobs/{check['id']}/cancel"))["status"] == 409
    server.set_state(check["id"], "running")
    assert problem(server.client.delete(f"/v1/models/{model}"))["status"] == 409
    server.set_state(check["id"], "failed")
    assert server.client.delete(f"/v1/models/{model}").status_code == 204
    assert server.client.get(f"/v1/jobs/{check['id']}").status_code == 404


def test_filters_select(server: Running) -> None:
    models, dataset = [server.model(), server.model()], server.dataset()
    jobs = [server.job(model, dataset, kind=kind) for model in models for kind in ("calibrate", "evaluate")]
    server.set_state(jobs[0], "running")

    def found(query: str) -> list[str]:
        return [job["id"] for job in server.client.get(f"/v1/jobs?{query}").json()["data"]]

    assert found("state=running") == [jobs[0]]
    assert found(f"model={models[1]}&kind=evaluate") == [jobs[3]]
    assert set(found(f"dataset={dataset}&kind=calibrate")) == {jobs[0], jobs[2]}
    assert found(f"model={models[0]}&state=failed") == []


@given(limit=st.integers(1, 5), newcomers=st.lists(st.booleans(), max_size=6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_part_the_list_while_jobs_are_added(server: Running, limit: int, newcomers: list[bool]) -> None:
    model, dataset = server.model(), server.dataset()
    there = {server.job(model, dataset) for _ in range(7)}
    added, seen, query = iter(newcomers), [], ""
    while True:
        page = server.client.get(f"/v1/jobs?model={model}&kind=calibrate&limit={limit}{query}").json()
        assert len(page["data"]) <= limit
        assert page["has_more"] == (page["next"] is not None)
        seen += [job["id"] for job in page["data"]]
        if next(added, False):
            server.job(model, dataset)
        if not page["has_more"]:
            break
        query = f"&after={page['next']}"
    assert sorted(seen, reverse=True) == seen
    assert len(set(seen)) == len(seen)
    assert there <= set(seen)
