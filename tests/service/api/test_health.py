"""Health checks and metrics."""

import shutil
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.service.api.running import Running, problem


def samples(server: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = server.client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_server_is_ready_until_its_database_is_gone(server: Running, tmp_path: Path) -> None:
    assert server.client.get("/livez").json() == {"status": "alive"}
    assert server.client.get("/readyz").json() == {"status": "ready"}
    server.backend.database.close()
    shutil.rmtree(tmp_path / "data")
    assert problem(server.client.get("/readyz"))["status"] == 503
    assert server.client.get("/livez").status_code == 200


def test_metrics_count_requests_by_template_and_jobs_by_state(server: Running) -> None:
    model, dataset = server.model(), server.dataset()
    jobs = [server.job(model, dataset) for _ in range(3)]
    server.set_state(jobs[0], "running")
    for job in jobs:
        server.client.get(f"/v1/jobs/{job}")
    server.client.get("/v1/jobs/none")
    server.client.get("/elsewhere")
    found = samples(server)

    def requests(path: str, status: str) -> float:
        labels = {"method": "GET", "path": path, "status": status}
        return found["afternorm_http_requests_total", frozenset(labels.items())]

    assert requests("/v1/jobs/{job}", "200") == 3
    assert requests("/v1/jobs/{job}", "404") == 1
    assert requests("unknown", "404") == 1
    assert found["afternorm_jobs", frozenset({("state", "running")})] == 1
    assert found["afternorm_jobs", frozenset({("state", "queued")})] == 2
    timed = frozenset({("method", "GET"), ("path", "/v1/jobs/{job}")})
    assert found["afternorm_http_request_seconds_count", timed] == 4


def test_the_api_starts_without_torch() -> None:
    code = (
        "import sys; from service.api import create_app; from service.settings import Settings; "
        "create_app(Settings()); sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
