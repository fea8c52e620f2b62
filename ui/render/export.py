"""Exports of results: CSV and a list of citations."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ui.client.schemas import Answer, Passage, Reply
from ui.render.highlight import sentence

COLUMNS = (
    "kind",
    "rank",
    "question",
    "text",
    "score",
    "source",
    "page",
    "language",
    "start",
    "end",
    "document_id",
    "link",
    "passages_read",
    "passages_retrieved",
    "recognised",
)
Link = Callable[[str, int, int], str]


def table(reply: Reply, link: Link) -> bytes:
    """Answers, then passages, as CSV in UTF-8 with BOM (for spreadsheets), without cells that would run as formulas."""
    out = io.StringIO(newline="")
    rows = csv.DictWriter(out, COLUMNS)
    rows.writeheader()
    kinds: tuple[tuple[str, Sequence[Answer | Passage]], ...] = (("answer", reply.answers), ("passage", reply.passages))
    for kind, items in kinds:
        for rank, item in enumerate(items, 1):
            rows.writerow({name: cell(value) for name, value in _row(kind, rank, item, reply, link).items()})
    return out.getvalue().encode("utf-8-sig", "replace")


def _row(kind: str, rank: int, item: Answer | Passage, reply: Reply, link: Link) -> dict[str, Any]:
    score = f"{item.score:.4f}" if isinstance(item, Answer) else ""
    return {
        "kind": kind,
        "rank": rank,
        "question": reply.question,
        "text": item.text,
        "score": score,
        "source": item.source,
        "page": item.page or "",
        "language": item.language,
        "start": item.start,
        "end": item.end,
        "document_id": item.document_id,
        "link": link(item.document_id, item.start, item.end),
        "passages_read": reply.passages_read,
        "passages_retrieved": reply.passages_retrieved,
        "recognised": "yes" if item.recognised else "",
    }


def cell(value: Any) -> Any:
    """A cell value that spreadsheets do not run as a formula.

    >>> cell("=1+1"), cell("a"), cell(-3)
    ("'=1+1", 'a', -3)
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def passages_read(reply: Reply) -> str:
    """How many of the retrieved passages were read: "4 of 10 passages read"."""
    return f"{reply.passages_read} of {reply.passages_retrieved} passages read"


def citations(reply: Reply, metas: Mapping[str, Mapping[str, Any]], link: Link) -> str:
    """A numbered list of answers with quotation and source; of the passages if there is no answer.

    It says how many passages were read.
    """
    items: Iterable[Answer | Passage] = reply.answers or reply.passages
    read = passages_read(reply)
    none = (
        f"No answer in the {reply.passages_read} closest passages ({read}):\n"
        if reply.passages
        else "No passage was found.\n"
    )
    head = f"{read}.\n" if reply.answers else none
    lines = [reply.question, head]
    for number, item in enumerate(items, 1):
        quoted = " ".join(item.text.split())
        lines.append(f"{number}. “{quoted}” {_where(item, metas.get(item.document_id, {}))}")
        lines.append(f"   {link(item.document_id, item.start, item.end)}\n")
    return "\n".join(lines)


def citation(answer: Answer, meta: Mapping[str, Any], address: str) -> str:
    """One answer to paste into a text: the sentence around it, its source and page, and the link to it."""
    text, passage = answer.text, answer.passage
    if passage is not None:
        first, last = sentence(passage.text, answer.start - passage.start, answer.end - passage.start)
        text = passage.text[first:last]
    return f"“{' '.join(text.split())}” {_where(answer, meta)} {address}"


def _where(item: Answer | Passage, meta: Mapping[str, Any]) -> str:
    facts = [str(meta.get("author") or ""), str(meta.get("title") or ""), item.source, str(meta.get("date") or "")]
    facts += [f"p. {item.page}" if item.page else "", f"characters {item.start:,}–{item.end:,}"]
    facts += ["recognised text"] if item.recognised else []
    return ", ".join(fact for fact in facts if fact) + "."
