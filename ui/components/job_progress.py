"""Progress of background jobs, with cancellation, and their history."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from ui.client.schemas import ENDED, ApiError, Job
from ui.render.html_tables import count, when
from ui.render.names import plain
from ui.state.session import client, show_problem
from ui.state.url import link

EVERY_S = 0.7
STATES = {
    "queued": "waiting for its turn",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}


def watch(job: Job) -> None:
    """Shows the progress of a job until it ends, then reruns the page."""
    _show_job(job.id)


@st.fragment(run_every=EVERY_S)
def _show_job(id: str) -> None:
    try:
        job = client().get_job(id)
    except ApiError as error:
        show_problem(error)
        return
    if job.state in ENDED:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=f"job-{id}"):
        st.progress(fraction(job), plain(words(job), isolate=True))
        st.button("Cancel", key=f"cancel-{id}", on_click=_cancel, args=(id,), disabled=id in _cancelled())


def _cancelled() -> set[str]:
    asked: set[str] = st.session_state.setdefault("cancelled_jobs", set())
    return asked


def _cancel(id: str) -> None:
    try:
        client().cancel_job(id)
        _cancelled().add(id)
    except ApiError as error:
        st.toast(plain(error.detail))


def fraction(job: Job) -> float:
    """The completed fraction of a job, 0 to 1."""
    return min(1.0, max(0.0, job.done / job.total)) if job.total else 0.0


def words(job: Job) -> str:
    """The current activity of a job that has not ended."""
    if job.state == "queued":
        return "Waiting for its turn."
    if job.kind == "questions":
        return f"{job.done:,} of {count(job.total, 'question')} answered." if job.total else "Reading the questions."
    return job.message or "Looking at the files."


def ended_badly(job: Job) -> None:
    """Shows the message of a failed or cancelled job."""
    if job.state == "failed":
        st.error(plain(job.message or "The job failed; start it again."))
    elif job.state == "cancelled":
        kept = " What was indexed before stays." if job.kind == "index" else ""
        st.warning(f"This was cancelled.{kept}")


def show_ended_jobs(jobs: Iterable[Job], page: str, corpus: str) -> None:
    """Ended jobs with their state, each with a link to its report."""
    for job in jobs:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"past-{job.id}"):
            named = f" · {plain(job.name, isolate=True)}" if job.name else ""
            many = f" · {count(job.total, 'question')}" if job.kind == "questions" and job.total else ""
            link(
                page,
                f"{when(job.created)}{named}{many} · {STATES.get(job.state, plain(job.state))}",
                corpus=corpus,
                job=job.id,
            )
