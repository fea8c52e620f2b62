"""The files of a collection: upload, report, list, delete."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from ui.client.schemas import ENDED, Corpus, Documents, ListedDocument, UploadedFile
from ui.components.delete_dialog import Deletion, delete_button
from ui.components.job_progress import ended_badly, show_ended_jobs, watch
from ui.components.selection import select_all, selection_bar, tick
from ui.components.sending import SendingProgress, counted, limits_told, too_large, too_much
from ui.render.highlight import escape_html, name
from ui.render.html_tables import count, facts, heading, table, text
from ui.render.names import language_name
from ui.render.upload_report import FileLine, as_csv, report, summary
from ui.state.query import Query
from ui.state.session import client, service_limits, show_problems
from ui.state.url import CORPORA, DOCUMENT, address, follow, followed, link, number, parameter

PAGE = 25
LINES, FEW = 200, 30
JOBS = 10
FOLDERS = "A folder with all that is in it"
FILES = "Files"


# -- uploads -----------------------------------------------------------------------------------------------------------


def show_upload(corpus: Corpus) -> None:
    """The file uploader, running jobs, and the report of the last upload."""
    turn = st.session_state.setdefault("upload_turn", 0)
    follow("upload_way", FOLDERS if parameter("upload") == "folder" else FILES)
    way = st.segmented_control("What", (FILES, FOLDERS), key="upload_way", label_visibility="collapsed", required=True)
    address(upload="folder" if followed("upload_way", way) == FOLDERS else None)
    many: Any = "directory" if way == FOLDERS else True
    label = "Drop a folder here" if way == FOLDERS else "Drop documents here, or a zip archive of them"
    limits = service_limits()
    files = st.file_uploader(
        label,
        accept_multiple_files=many,
        key=f"files-{way}-{turn}",
        help="PDF, Word, PowerPoint, Excel, HTML, Markdown, text, mail and more. Files of the same name are replaced.",
        max_upload_size=max(1, limits.upload_bytes >> 20),
    )
    st.caption(limits_told(limits))
    sizes = [(file.name, file.size) for file in files]
    refused, left_out = too_much(sizes, limits), too_large(sizes, limits)
    if refused or left_out:
        st.warning(refused or left_out)
    added = f"Add {count(len(files), 'file')} to the collection" if files else "Add to the collection"
    if st.button(added, type="primary", disabled=not files or bool(refused), key="add"):
        place = st.empty()
        with show_problems(stop=False):
            _send(corpus, counted([(file.name, file, file.size) for file in files], SendingProgress(place)))
        place.empty()
    _progress(corpus)


def _send(corpus: Corpus, files: list[tuple[str, Any]]) -> None:
    """Uploads files, stores the status of each in the session, and resets the uploader."""
    sent = client().upload(corpus.name, files)
    id = sent.job.id if sent.job else ""
    _put()[(corpus.name, id)] = sent.files
    st.session_state["upload_turn"] += 1
    st.session_state["refused_whole"] = "" if sent.job else corpus.name
    address(job=id)
    st.rerun()


def _put() -> dict[tuple[str, str], tuple[UploadedFile, ...]]:
    """Upload status of each file of this session, by corpus and job."""
    kept: dict[tuple[str, str], tuple[UploadedFile, ...]] = st.session_state.setdefault("put_files", {})
    return kept


def _progress(corpus: Corpus) -> None:
    """Running jobs, the report of the job in the URL, and earlier jobs."""
    with show_problems():
        jobs = [job for job in client().list_jobs(corpus.name) if job.kind == "index"]
    for job in reversed([job for job in jobs if job.state not in ENDED][-3:]):
        watch(job)
    if st.session_state.get("refused_whole") == corpus.name:
        show_report(report(_put().get((corpus.name, ""), ()), None), "")
    chosen = parameter("job")
    if chosen:
        _show_job(corpus, chosen)
    ended = [job for job in jobs if job.state in ENDED and job.id != chosen][:JOBS]
    if ended:
        with st.expander("Earlier uploads and deletions"):
            show_ended_jobs(ended, CORPORA, corpus.name)


def _show_job(corpus: Corpus, id: str) -> None:
    with show_problems(stop=False):
        job = client().get_job(id)
        if job.corpus == corpus.name and job.kind == "index" and job.state in ENDED:
            ended_badly(job)
            show_report(report(_put().get((corpus.name, id), ()), job), id)


def show_report(lines: Sequence[FileLine], id: str) -> None:
    """Shows the status of each file, unusable files first."""
    if not lines:
        return
    st.markdown(f"**{summary(lines)}**")
    bad, good = [line for line in lines if line.is_bad], [line for line in lines if not line.is_bad]
    if len(lines) <= FEW:
        _lines(lines)
    else:
        _lines(bad)
        with st.expander(f"The other {count(len(good), 'file')}"):
            _lines(good)
    st.download_button(
        "Report as CSV", as_csv(lines), "report.csv", "text/csv", on_click="ignore", key=f"report-{id}", type="tertiary"
    )


def _lines(lines: Sequence[FileLine]) -> None:
    if lines:
        rows = [[name(line.file), text(line.words, "bad" * line.is_bad), text(line.about)] for line in lines[:LINES]]
        st.html(table(("File", "Status", "About"), rows))
    if len(lines) > LINES:
        st.caption(f"The first {LINES:,} of {len(lines):,}; the whole report is in the file.")


# -- documents ---------------------------------------------------------------------------------------------------------


def show_files(corpus: Corpus) -> None:
    """Shows the documents page by page, filtered by name and language."""
    wanted, language = _choice(corpus)
    at = max(1, number("at", 1) or 1)
    with show_problems():
        found = client().list_documents(
            corpus.name, source=name_pattern(wanted) or None, language=language or None, offset=(at - 1) * PAGE, limit=PAGE
        )
    select_all(corpus, found.documents)
    selection_bar(corpus, Query())
    for document in found.documents:
        _document(corpus, document)
    if not found.documents:
        st.info("No document matches.")
    _pages(corpus, found, at, wanted, language)


def _choice(corpus: Corpus) -> tuple[str, str]:
    """The filter: part of the name, and language; both kept in the URL."""
    before = (parameter("name"), parameter("language"))
    follow("files_name", before[0], typed=True)
    follow("files_language", before[1] if before[1] in corpus.languages else "")
    left, right = st.columns((2, 1))
    wanted = left.text_input("Name holds", key="files_name", autocomplete="off")
    language = right.selectbox(
        "Language",
        ["", *sorted(corpus.languages)],
        key="files_language",
        format_func=lambda code: language_name(code) if code else "All",
    )
    chosen = (str(followed("files_name", wanted.strip())), str(followed("files_language", language or "")))
    if chosen != before:
        address(name=chosen[0], language=chosen[1], at=None)
    return chosen


def name_pattern(wanted: str) -> str:
    """A glob for names that contain a text, ignoring case; "" for any name.

    >>> name_pattern("a*1")
    '*[aA][*]1*'
    """
    return f"*{''.join(map(_either, wanted))}*" if wanted else ""


def _either(letter: str) -> str:
    low, high = letter.lower(), letter.upper()
    if low != high and len(low) == len(high) == 1:
        return f"[{low}{high}]"
    return f"[{letter}]" if letter in "*?[" else letter


def _document(corpus: Corpus, document: ListedDocument) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"document-{document.id}"):
        tick(corpus, document, document.id)
        titled = document.title and document.title != document.source
        about = [
            name(document.title) if titled else "",
            escape_html(language_name(document.language)),
            count(document.pages, "page") if document.pages > 1 else "",
            count(document.passages, "passage"),
        ]
        st.html(f"{heading(name(document.source))}{facts(about)}")
        link(DOCUMENT, "Open", corpus=corpus.name, document=document.id)
        file, _, record = document.source.partition("#")
        about_it = f"{file} is deleted with all its documents." if record else f"{file} is removed from this collection."
        act = partial(_delete_document, corpus.name, document.id)
        delete_button("Delete", Deletion("file", file_name(file), about_it, act), f"delete-{document.id}")


def _delete_document(corpus: str, id: str) -> None:
    address(job=client().delete_document(corpus, id, whole_file=True).id)


def _pages(corpus: Corpus, found: Documents, at: int, wanted: str, language: str) -> None:
    last = max(1, -(-found.total // PAGE))
    if last == 1 and at == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        state = {"corpus": corpus.name, "name": wanted, "language": language}
        if at > 1:
            link(CORPORA, "Previous", **state, at=at - 1 if at > 2 else None)
        st.caption(f"Page {at:,} of {last:,}, {count(found.total, 'document')}", width="content")
        if at < last:
            link(CORPORA, "Next", **state, at=at + 1)


# -- unreadable files --------------------------------------------------------------------------------------------------


def show_skipped(corpus: Corpus) -> None:
    """Shows stored files that could not be indexed, with the reason."""
    if not corpus.skipped:
        return
    st.header("Not readable")
    st.caption("These files are stored, but have no text to index. No answer comes from them.")
    for item in corpus.skipped[:LINES]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"skipped-{item.source}"):
            st.html(f"{heading(name(item.source))}{facts([text(item.reason)])}")
            act = partial(_delete_file, corpus.name, item.source)
            gone = Deletion("file", file_name(item.source), f"{item.source} is removed from this collection.", act)
            delete_button("Delete", gone, f"drop-{item.source}")
    if len(corpus.skipped) > LINES:
        st.caption(f"The first {LINES:,} of {len(corpus.skipped):,}.")


def _delete_file(corpus: str, source: str) -> None:
    address(job=client().delete_file(corpus, source).id)


def file_name(source: str) -> str:
    """The file name without folders."""
    return source.rpartition("/")[2]
