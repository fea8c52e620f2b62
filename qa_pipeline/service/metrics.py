"""Prometheus metrics: requests, stage times, queues, corpora. They never contain the text of a question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from qa_pipeline.answers import Reply
from qa_pipeline.service.admission import Admission
from qa_pipeline.service.api_keys import Key
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.model_pool import ModelPool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class MonitoredService(Protocol):
    """The part of the service that metrics are collected from."""

    reads: Admission
    jobs: JobStore
    models: ModelPool

    def ready(self) -> str: ...

    def statuses(self, key: Key | None) -> list[dict[str, Any]]: ...


class ServiceMetrics:
    """The metrics of one process. Thread-safe."""

    def __init__(self, service: MonitoredService) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "docqa_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "docqa_request_seconds",
            "Time of a request until it was answered whole.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "docqa_stage_seconds", "Time of each stage of a question.", ["stage"], buckets=SECONDS, registry=self.registry
        )
        self._questions = Counter("docqa_questions", "Questions by what came of them.", ["outcome"], registry=self.registry)
        self.registry.register(_State(service))
        ProcessCollector(registry=self.registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. route: the path template, which bounds the label's cardinality. seconds: its duration."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, reply: Reply) -> None:
        """Count one answered question, with the time of each stage."""
        self._questions.labels("answered" if reply.answers else "no_answer").inc()
        self._timed(reply, ("embed", "retrieve", "read", "total"))

    def count_search(self, reply: Reply) -> None:
        """Count one search, with the time of each stage."""
        self._questions.labels("searched").inc()
        self._timed(reply, ("embed", "retrieve"))

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def _timed(self, reply: Reply, stages: tuple[str, ...]) -> None:
        for stage in stages:
            self._stages.labels(stage).observe(getattr(reply.timings_ms, stage) / 1e3)


class _State(Collector):
    """Collects the current state (queues, jobs, caches, corpora) at scrape time."""

    def __init__(self, service: MonitoredService) -> None:
        self._service = service

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Describe nothing, so that registering does not collect."""
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        reads = self._service.reads
        yield _gauge("docqa_reads_running", "Questions being read.", reads.running())
        yield _gauge("docqa_reads_waiting", "Questions that wait to be read.", reads.queued())
        yield CounterMetricFamily("docqa_reads_refused", "Questions refused as too many.", value=reads.refused)
        yield _gauge("docqa_ready", "1 when it can be asked.", 0 if self._service.ready() else 1)
        states = GaugeMetricFamily("docqa_jobs", "Of the newest 1,000 jobs, those in a state.", labels=["state"])
        jobs = [job.state for job in self._service.jobs.list(limit=1_000)]
        for state in ("queued", "running", "done", "failed", "cancelled"):
            states.add_metric([state], jobs.count(state))
        yield states
        yield from self._reader(self._service.models.reader_facts())
        yield from self._corpora(self._service.statuses(None))

    def _reader(self, facts: dict[str, Any]) -> Iterator[CounterMetricFamily]:
        """Batch counts and cache hits of the reader; nothing for a reader without these facts."""
        if "batches" not in facts:
            return
        for name, about in (("batches", "Batches the reader computed."), ("shared_batches", "Those of several questions.")):
            yield CounterMetricFamily(f"docqa_reader_{name}", about, value=facts[name])
        remembered = CounterMetricFamily(
            "docqa_reader_remembered", "Look-ups in what the reader remembers.", labels=["what", "outcome"]
        )
        for what in ("tokens", "readings"):
            for outcome in ("hits", "misses"):
                remembered.add_metric([what, outcome], facts[what][outcome])
        yield remembered

    def _corpora(self, statuses: list[dict[str, Any]]) -> Iterator[GaugeMetricFamily]:
        for name in ("documents", "passages", "bytes", "generation"):
            gauge = GaugeMetricFamily(f"docqa_corpus_{name}", f"{name.capitalize()} of a corpus.", labels=["corpus"])
            for status in statuses:
                gauge.add_metric([status["name"]], status[name])
            yield gauge


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)
