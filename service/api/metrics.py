"""Metrics in Prometheus' format, one registry for each app."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Scope

from service.db import Database
from service.jobs import store
from service.jobs.resources import State

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts and durations of requests, by the template of their path."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "path")
        self._requests = Counter(
            "afternorm_http_requests", "HTTP requests", (*labels, "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "afternorm_http_request_seconds", "Seconds until the response started", labels, registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Record a request whose response started after so many seconds."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        path = scope["route"].path if "route" in scope else "unknown"
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(method, path).observe(seconds)

    def watch_jobs(self, database: Database) -> None:
        """Count the jobs in each state whenever the metrics are read."""
        self.registry.register(_Jobs(database))

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)


class _Jobs(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._database.read() as connection:
            counts = store.counts(connection)
        family = GaugeMetricFamily("afternorm_jobs", "Jobs in each state", labels=("state",))
        for state in get_args(State):
            family.add_metric((state,), counts.get(state, 0))
        yield family
