"""Documents that the user ticked, in lists and in results, and what can be done with all of them.

The selection is kept in the session, by collection; a reload forgets it. Asking only these documents is a filter in the URL.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import streamlit as st

from ui.client.http import Client
from ui.client.schemas import ApiError, Corpus, ListedDocument
from ui.components.delete_dialog import Deletion, delete_button
from ui.render.html_tables import count
from ui.state.query import MOST_DOCUMENTS, Query
from ui.state.session import client
from ui.state.url import ASK, CORPORA, PAGE, address, link

Selection = dict[str, ListedDocument]
ZIP_BYTES = 500_000_000
# Of the names in one request to delete files: an address has at most 65,536 characters.
NAME_CHARACTERS, MOST_FILES = 30_000, 1_000
LEFT_OUT = "NOT INCLUDED.txt"


def selected(corpus: Corpus) -> Selection:
    """The ticked documents of a corpus, by id, in the order of ticking."""
    kept: dict[tuple[str, str], Selection] = st.session_state.setdefault("selection", {})
    return kept.setdefault((corpus.name, corpus.created), {})


def tick(corpus: Corpus, document: ListedDocument | None, place: str, *, labelled: bool = False) -> None:
    """A box that selects a document; nothing without the document. place: unique among the boxes of the page."""
    if document is None:
        return
    key = f"tick-{place}"
    st.session_state[key] = document.id in selected(corpus)
    # A label that is not drawn is the name of the box as it stands, not Markdown.
    name = "Select" if labelled else f"Select {document.source}"
    st.checkbox(
        name,
        key=key,
        on_change=_toggle,
        args=(corpus, document),
        label_visibility="visible" if labelled else "collapsed",
        width="content",
    )


def _toggle(corpus: Corpus, document: ListedDocument) -> None:
    chosen = selected(corpus)
    if chosen.pop(document.id, None) is None:
        chosen[document.id] = document


def _select(corpus: Corpus, documents: Iterable[ListedDocument]) -> None:
    selected(corpus).update({one.id: one for one in documents})


def select_all(corpus: Corpus, documents: tuple[ListedDocument, ...]) -> None:
    """A button that selects these documents; nothing if they are selected."""
    if any(one.id not in selected(corpus) for one in documents):
        label = f"Select these {len(documents)}" if len(documents) > 1 else "Select it"
        st.button(label, key="select-all", on_click=_select, args=(corpus, documents), type="tertiary")


def selection_bar(corpus: Corpus, asked: Query) -> None:
    """What can be done with the ticked documents; nothing without any. asked: the question to ask only them."""
    chosen = tuple(selected(corpus).values())
    if not chosen:
        return
    files = tuple(dict.fromkeys(one.file or one.source for one in chosen))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="selection"):
        st.markdown(f"**{count(len(chosen), 'document')} selected**", width="content")
        if len(chosen) <= MOST_DOCUMENTS:
            only = replace(asked, documents=tuple(one.id for one in chosen))
            link(ASK, "Ask only these", corpus=corpus.name, **only.query())
        else:
            st.caption(f"At most {MOST_DOCUMENTS} documents can be asked alone.", width="content")
        st.download_button(
            "Download as zip", partial(zipped, client(), corpus.name, chosen), "documents.zip", on_click="ignore"
        )
        called = count(len(files), "file")
        about = f"{called} of this collection, with all documents in them: {', '.join(files[:5])}"
        about += f" and {len(files) - 5:,} more." if len(files) > 5 else "."
        act = partial(_delete, corpus, files)
        delete_button(
            "Delete", Deletion("files", called, about, act, f"To delete, type {called}"), "delete-selected", "secondary"
        )
        st.button("Clear selection", key="clear-selection", on_click=selected(corpus).clear, type="tertiary")


def _delete(corpus: Corpus, files: tuple[str, ...]) -> None:
    chosen = selected(corpus)
    for part in parts(files):
        job = client().delete_file(corpus.name, part)
        for id in [one.id for one in chosen.values() if (one.file or one.source) in part]:
            del chosen[id]
    st.session_state["told"] = f"{count(len(files), 'file')} deleted. The index follows in a moment."
    address(only=None)
    if st.session_state[PAGE] == Path(CORPORA).stem:
        address(job=job.id)


def parts(files: Iterable[str]) -> Iterator[list[str]]:
    """Files in the parts that one request can delete.

    >>> list(parts(["a", "b"])), len(list(parts(f"{number}" for number in range(1_001))))
    ([['a', 'b']], 2)
    """
    part: list[str] = []
    length = 0
    for file in files:
        size = len(f"source={quote(file, safe='')}&")
        if part and (length + size > NAME_CHARACTERS or len(part) == MOST_FILES):
            yield part
            part, length = [], 0
        part.append(file)
        length += size
    if part:
        yield part


def zipped(asker: Client, corpus: str, documents: Iterable[ListedDocument]) -> bytes:
    """The original files of documents as a zip, each file once. A file that is missing from it is named in LEFT_OUT."""
    files = {one.file or one.source: one.id for one in documents}
    packed, left_out, total = io.BytesIO(), [], 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, id in files.items():
            try:
                data = asker.get_original(corpus, id).data
            except ApiError as error:
                left_out.append(f"{file}: {error.detail}")
                continue
            if total + len(data) > ZIP_BYTES:
                left_out.append(f"{file}: the archive would exceed {ZIP_BYTES // 1_000_000} MB; download it alone.")
                continue
            total += len(data)
            archive.writestr(file, data)
        if left_out:
            archive.writestr(LEFT_OUT, "\n".join(left_out) + "\n")
    return packed.getvalue()
