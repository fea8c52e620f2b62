"""Prometheus metrics: requests, stage times, queues, corpora. No text of any question."""

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
    """What figures are taken from: the service."""

    reads: Admission
    jobs: JobStore
    models: ModelPool

    def ready(self) -> str: ...

    def statuses(self, key: Key | None) -> list[dict[str, Any]]: ...


class ServiceMetrics:
    """The figures of one process. Safe from any thread."""

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
        """One request; route: its template, so that there are no more of them than routes."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, reply: Reply) -> None:
        """One question read."""
        self._questions.labels("answered" if reply.answers else "no_answer").inc()
        self._timed(reply, ("embed", "retrieve", "read", "total"))

    def count_search(self, reply: Reply) -> None:
        """One question whose passages were looked for only."""
        self._questions.labels("searched").inc()
        self._timed(reply, ("embed", "retrieve"))

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _timed(self, reply: Reply, stages: tuple[str, ...]) -> None:
        for stage in stages:
            self._stages.labels(stage).observe(getattr(reply.timings_ms, stage) / 1e3)


class _State(Collector):
    """What is so now: asked for when the figures are."""

    def __init__(self, service: MonitoredService) -> None:
        self._service = service

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing in advance, so that registering asks nothing."""
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
        """How often the reader ran, for how many callers at once, how often it remembered; nothing if it does not say."""
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
