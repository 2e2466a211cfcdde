"""Downloads follow HTTP: whole files, ranges, not modified, and file names."""

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.api.running import Running, problem

CONTENT = bytes(range(256)) * 20


def blob(server: Running, content: bytes = CONTENT) -> str:
    upload = server.upload(content)
    return f"/v1/blobs/{server.client.get(f'/v1/uploads/{upload}').json()['blob']}"


def test_a_blob_is_what_was_uploaded(server: Running) -> None:
    place = blob(server)
    response = server.client.get(place)
    assert response.content == CONTENT
    assert response.headers["etag"] == f'"sha256:{hashlib.sha256(CONTENT).hexdigest()}"'
    assert response.headers["content-type"] == "application/octet-stream"
    head = server.client.head(place)
    assert head.content == b""
    for name in ("etag", "content-length", "accept-ranges"):
        assert head.headers[name] == response.headers[name]


@given(first=st.integers(0, 6000), length=st.integers(0, 6000), form=st.sampled_from(["both", "from", "last"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_is_a_slice(server: Running, first: int, length: int, form: str) -> None:
    asked, wanted = {
        "both": (f"bytes={first}-{first + length}", CONTENT[first : first + length + 1]),
        "from": (f"bytes={first}-", CONTENT[first:]),
        "last": (f"bytes=-{length}", CONTENT[-length:] if length else b""),
    }[form]
    response = server.client.get(blob(server), headers={"Range": asked})
    if not wanted:
        assert problem(response)["status"] == 416
        assert response.headers["content-range"] == f"bytes */{len(CONTENT)}"
        return
    assert response.status_code == 206
    assert response.content == wanted
    start = max(len(CONTENT) - length, 0) if form == "last" else first
    assert response.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(CONTENT)}"


def test_several_ranges_come_as_parts(server: Running) -> None:
    response = server.client.get(blob(server), headers={"Range": "bytes=0-9,300-309"})
    assert response.status_code == 206
    assert response.headers["content-type"].startswith("multipart/byteranges")
    for part in (CONTENT[:10], CONTENT[300:310]):
        assert part in response.content


@pytest.mark.parametrize("asked", ["bytes=9-3", "lines=0-3", "bytes", "bytes=a-b"])
def test_a_range_that_cannot_be_read_is_a_problem(server: Running, asked: str) -> None:
    assert problem(server.client.get(blob(server), headers={"Range": asked}))["status"] == 400


def test_what_the_client_has_is_not_sent_again(server: Running) -> None:
    place = blob(server)
    etag = server.client.get(place).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = server.client.get(place, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert server.client.get(place, headers={"If-None-Match": '"other"'}).content == CONTENT
    part = {"Range": "bytes=0-3"}
    assert server.client.get(place, headers=part | {"If-Range": etag}).status_code == 206
    assert server.client.get(place, headers=part | {"If-Range": '"other"'}).content == CONTENT


def test_an_artifact_comes_under_its_name(server: Running) -> None:
    job = server.job(server.model(), server.dataset())
    sha256 = server.add_artifact(job, "summary.json", b"{}", "application/json")
    listed = server.client.get(f"/v1/jobs/{job}/artifacts").json()
    assert listed["data"] == [{"name": "summary.json", "media_type": "application/json", "size": 2, "sha256": sha256}]
    response = server.client.get(f"/v1/jobs/{job}/artifacts/summary.json")
    assert response.content == b"{}"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == 'attachment; filename="summary.json"'
    assert response.headers["etag"] == f'"sha256:{sha256}"'
    assert server.client.head(f"/v1/jobs/{job}/artifacts/summary.json").headers["content-length"] == "2"
    assert problem(server.client.get(f"/v1/jobs/{job}/artifacts/other"))["status"] == 404


def test_bytes_that_are_gone_are_not_found(server: Running) -> None:
    place = blob(server)
    assert server.backend.blobs.delete(place.rpartition(":")[2], older_than=-1)
    assert problem(server.client.get(place))["status"] == 404
