"""The page Batch: answers a file of questions, and lists earlier batches."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from ui.client.schemas import ENDED, Corpus, Job
from ui.components.job_progress import ended_badly, show_ended_jobs, watch
from ui.render.answer_groups import confidence
from ui.render.batch_rows import KINDS, ORDERS, SUFFIXES, Row, answers, counts, in_order, preview
from ui.render.highlight import escape_html, name
from ui.render.html_tables import STYLE, count, table, text, when
from ui.render.names import plain
from ui.state.session import cached_by_key, client, pick_corpus, service_limits, show_problems
from ui.state.url import BATCH, address, follow, followed, link, number, parameter

PAGE = 50
# The service's limit for one file.
KEPT = 4
PASTED = "pasted questions.jsonl"
COLUMNS = ("Question", "Answer", "Score", "Source", "Page", "")
FORMATS = {
    "csv": ("CSV", "text/csv"),
    "xlsx": ("Excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "jsonl": ("JSON lines", "application/x-ndjson"),
}


def page() -> None:
    """Shows the batch in the URL or the uploader, then earlier batches."""
    st.html(STYLE)
    corpus = pick_corpus()
    st.title("Batch")
    with show_problems():
        jobs = [job for job in client().list_jobs(corpus.name) if job.kind == "questions"]
    chosen = parameter("job")
    if chosen:
        link(BATCH, "New batch", corpus=corpus.name)
        one(corpus, chosen)
    else:
        new(corpus)
    before = [job for job in jobs if job.id != chosen]
    if before:
        st.header("Batches")
        show_ended_jobs(before, BATCH, corpus.name)


# -- input -------------------------------------------------------------------------------------------------------------


def new(corpus: Corpus) -> None:
    """The uploader for a question file, with a preview of its first rows."""
    st.markdown(
        "A table (CSV, Excel) or JSON with a column `question`; columns `id`, `corpus` and `filters`, such as"
        " `language=de; year>=1912`, are optional."
    )
    turn = st.session_state.setdefault("batch_turn", 0)
    pasted(corpus, turn)
    most = max(1, service_limits().file_bytes >> 20)
    file = st.file_uploader("Question file", type=list(SUFFIXES), key=f"questions-{turn}", max_upload_size=most)
    if file is None:
        return
    shown = preview(file.name, file.getvalue())
    if shown is not None:
        st.caption("The first rows:")
        st.html(table(shown.columns, [[text(cell) for cell in row] for row in shown.rows], shown.columns))
    else:
        st.caption("The first rows cannot be shown. The file is checked when its questions are asked.")
    if st.button("Ask these questions", type="primary"):
        _ask(corpus, file.name, file)


def pasted(corpus: Corpus, turn: int) -> None:
    """A box for questions, one in each line."""
    with st.form(f"pasted-{turn}", border=False):
        typed = st.text_area("Paste questions, one in each line", key=f"pasted-text-{turn}", max_chars=1_000_000)
        sent = st.form_submit_button("Ask the pasted questions")
    if not sent:
        return
    if not typed.strip():
        st.warning("There is no question yet; write one in each line.")
        return
    questions = typed.rstrip().splitlines()
    lines = [json.dumps({"id": str(number), "question": line}) for number, line in enumerate(questions, 1)]
    _ask(corpus, PASTED, "\n".join(lines).encode())


def _ask(corpus: Corpus, file: str, content: Any) -> None:
    """Starts a batch, and shows it; or says why there is none."""
    with show_problems(stop=False):
        job = client().ask_file(corpus.name, file, content)
        st.session_state["batch_turn"] += 1
        address(job=job.id)
        st.rerun()


# -- output ------------------------------------------------------------------------------------------------------------


def one(corpus: Corpus, id: str) -> None:
    """Shows a batch: its progress, or its answers."""
    with show_problems(stop=False):
        job = client().get_job(id)
        if job.kind != "questions" or job.corpus != corpus.name:
            st.info("This batch belongs to another collection; choose that one.")
        elif job.state not in ENDED:
            watch(job)
        elif job.state == "failed":
            ended_badly(job)
        else:
            if job.state == "cancelled":
                st.warning(f"This was cancelled after {job.done:,} of {count(job.total, 'question')}.")
            result(job, _answers(job.id))


@cached_by_key(show_spinner="Fetching the answers.", max_entries=KEPT)
def _answers(id: str) -> list[Row]:
    return answers(client().get_job_result(id, "jsonl").data)


def result(job: Job, rows: list[Row]) -> None:
    """Shows the answers of a batch: downloads and a table."""
    st.caption(f"{plain(job.name, isolate=True)} · asked {when(job.created)}")
    _downloads(job.id)
    kind = _kind(counts(rows))
    rows = in_order([row for row in rows if kind in ("all", row.kind)], _order())
    last = max(1, -(-len(rows) // PAGE))
    at = min(last, max(1, number("at", 1) or 1))
    lines = [_cells(job.corpus, row) for row in rows[(at - 1) * PAGE : at * PAGE]]
    st.html(table(COLUMNS, lines, COLUMNS[2:5]))
    if not rows:
        st.info("There are none of this kind.")
    _pages(job, kind, at, last, len(rows))


def _downloads(id: str) -> None:
    asker = client()
    with st.container(horizontal=True, key="downloads"):
        for kind, (label, mime) in FORMATS.items():
            st.download_button(
                f"Download {label}",
                lambda kind=kind: asker.get_job_result(id, kind).data,  # type: ignore[misc]
                f"answers-{id[:8]}.{kind}",
                mime,
                on_click="ignore",
                key=f"download-{kind}",
            )


def _kind(found: dict[str, int]) -> str:
    """The kind of rows shown, kept in the URL."""
    words = {kind: label for label, kind in KINDS.items()}
    given = parameter("show") if parameter("show") in words else "all"
    follow("batch_show", given)
    picked = st.segmented_control(
        "Show",
        list(words),
        key="batch_show",
        label_visibility="collapsed",
        format_func=lambda kind: f"{words[kind]} ({found[kind]:,})",
    )
    kind = str(followed("batch_show", picked) or "all")
    if kind != given:
        address(show=kind if kind != "all" else None, at=None)
    return kind


def _order() -> str:
    """The order of the rows, one of ORDERS; kept in the URL."""
    given = parameter("sort") if parameter("sort") in ORDERS else ""
    follow("batch_sort", given)
    picked = st.segmented_control(
        "Order", list(ORDERS), key="batch_sort", label_visibility="collapsed", format_func=ORDERS.__getitem__
    )
    order = str(followed("batch_sort", picked) or "")
    if order != given:
        address(sort=order or None, at=None)
    return order


def _cells(corpus: str, row: Row) -> list[str]:
    about = [f"no. {row.id}" if row.id else "", row.corpus if row.corpus != corpus else ""]
    asked = text(row.question) + "".join(f'<span class="docqa-small">{escape_html(one)}</span> ' for one in about if one)
    if row.error:
        return [asked, text(row.error, "bad"), "", "", "", _ask_link(row) if row.question else ""]
    if not row.answer:
        held = "" if row.no_answer_score is None else f"no-answer score {row.no_answer_score:.2f}"
        read = "" if row.passages_read is None else f"{row.passages_read:,} "
        return [asked, f"<em>No answer in the {read}closest passages</em>{text(held, 'small')}", "", "", "", _ask_link(row)]
    score = f"{row.score:.2f} {confidence(row.score)}" if row.score is not None else ""
    place = f'<a href="{escape_html(_place(row))}">{name(row.source)}</a>'
    answer = f'<div dir="auto"><b>{escape_html(row.answer)}</b></div>'
    return [asked, answer, escape_html(score), place, str(row.page or ""), _ask_link(row)]


def _ask_link(row: Row) -> str:
    """A link that asks the question of a row alone; relative to this page."""
    return f'<a class="docqa-act" href="{escape_html("./?" + urlencode({"corpus": row.corpus, "q": row.question}))}">Ask</a>'


def _place(row: Row) -> str:
    """Relative URL of the answer in its document."""
    query: dict[str, Any] = {"corpus": row.corpus, "document": row.document_id, "start": row.start, "end": row.end}
    return "document?" + urlencode({**query, "q": row.question})


def _pages(job: Job, kind: str, at: int, last: int, total: int) -> None:
    if last == 1:
        return
    state: dict[str, Any] = {"corpus": job.corpus, "job": job.id, "show": kind if kind != "all" else None}
    state["sort"] = parameter("sort")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if at > 1:
            link(BATCH, "Previous", **state, at=at - 1)
        st.caption(f"Page {at:,} of {last:,}, {count(total, 'question')}", width="content")
        if at < last:
            link(BATCH, "Next", **state, at=at + 1)


page()
