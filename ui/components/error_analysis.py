"""Error analysis of an evaluation: each prediction beside the right answers."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from ui.client.schemas import Evaluation, Prediction, Predictions
from ui.components.keyboard import arrows
from ui.render.evaluation_table import row_name
from ui.render.highlight import ANSWER, FOUND, Mark, escape_html, mark_html, name
from ui.render.html_tables import count, facts
from ui.state.session import client, show_problems
from ui.state.url import QUALITY, address, follow, followed, link, number, parameter

PAGE = 25
VERDICTS = {"wrong": "Wrong", "partly": "Partly", "right": "Right", "all": "All"}
ORDERS = {"asked": "As asked", "surest": "Surest first"}
RIGHT_TO_LEFT = frozenset("ar dv fa he ps sd ug ur yi".split())


def show_predictions(run: Evaluation, state: dict[str, str]) -> None:
    """Shows the filtered predictions page by page. state: other parameters of the page's URL."""
    st.header("Answers")
    verdict, language, surest = _chosen()
    at = max(1, number("at", 1) or 1)
    with show_problems(stop=False):
        found = client().list_predictions(
            run.name,
            language=language or None,
            verdict=None if verdict == "all" else verdict,
            order="surest" if surest else "asked",
            offset=(at - 1) * PAGE,
            limit=PAGE,
        )
        with st.container(key="tools"):
            _choices(run, found, verdict, language, surest)
        if not found.predictions:
            st.info("There are none of this kind.")
        st.html(f'<div class="docqa-judged">{"".join(map(prediction_html, found.predictions))}</div>')
        _pages(found.total, at, state)
        arrows()


def _chosen() -> tuple[str, str, bool]:
    """Verdict, row and order from the URL."""
    verdict = parameter("show")
    return verdict if verdict in VERDICTS else "wrong", parameter("language"), parameter("order") == "surest"


def _choices(run: Evaluation, found: Predictions, verdict: str, language: str, surest: bool) -> None:
    """The filter widgets; each counts under the filters of the others. A change returns to the first page."""
    counts = {**found.verdicts, "all": sum(found.verdicts.values())}
    follow("quality_verdict", verdict)
    follow("quality_language", language)
    follow("quality_order", "surest" if surest else "asked")
    picked = st.segmented_control(
        "Which",
        list(VERDICTS),
        key="quality_verdict",
        label_visibility="collapsed",
        required=True,
        format_func=lambda one: f"{VERDICTS[one]} ({counts[one]:,})",
    )
    left, right = st.columns((1, 1), vertical_alignment="bottom")
    rows = list(dict.fromkeys(["", *(row.name for row in run.rows), *([language] if language else [])]))
    wanted = left.selectbox("Language", rows, key="quality_language", format_func=lambda one: _row_label(one, found))
    order = right.segmented_control(
        "Order", list(ORDERS), key="quality_order", required=True, format_func=ORDERS.__getitem__
    )
    now = (followed("quality_verdict", picked), followed("quality_language", wanted), followed("quality_order", order))
    if now != (verdict, language, "surest" if surest else "asked"):
        address(
            show=now[0] if now[0] != "wrong" else None, language=now[1], order=now[2] if now[2] != "asked" else None, at=None
        )
        st.rerun()


def _row_label(row: str, found: Predictions) -> str:
    many = found.rows.get(row, 0) if row else sum(found.rows.values())
    return f"{row_name(row) if row else 'All languages'} ({many:,})"


def _pages(total: int, at: int, state: dict[str, str]) -> None:
    last = max(1, -(-total // PAGE))
    if last == 1 and at == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="pages"):
        if at > 1:
            link(QUALITY, "Previous", **state, at=at - 1 if at > 2 else None)
        st.caption(f"Page {at:,} of {last:,}, {count(total, 'question')}", width="content")
        if at < last:
            link(QUALITY, "Next", **state, at=at + 1)


# -- one prediction ----------------------------------------------------------------------------------------------------


def prediction_html(one: Prediction) -> str:
    """A question with right answer and prediction as HTML, each in the direction of its language."""
    asked = directed_text(one.question or "", one.question_language) if one.question else f"<em>question {name(one.id)}</em>"
    rows = [_pair("Right answer", dict.fromkeys(one.wanted), one.language), _pair("Said", [one.said], one.language)]
    if one.best and one.best != one.said:
        rows.append(_pair("Best span", [one.best], one.language))
    if one.absent is not None and one.wanted:
        rows.append(_pair("Without the right text", [one.absent], one.language))
    about = [
        f'<span class="docqa-verdict docqa-{escape_html(one.verdict)}">{VERDICTS.get(one.verdict, "")}</span>',
        f"F1 <b>{one.f1:.0f}</b>",
        f"no-answer score {one.no_answer:.2f}",
        escape_html(row_name(one.row)),
        f"{name(one.origin)}, {name(one.id)}",
    ]
    return (
        f'<article class="docqa-answer" tabindex="-1"><div class="docqa-asked">{asked}</div>'
        f"<dl>{''.join(rows)}</dl>{context_html(one)}{facts(about)}</article>"
    )


def context_html(one: Prediction) -> str:
    """The context around right answers and best span, both marked, as a collapsed block of HTML; "" without."""
    if not one.pieces:
        return ""
    marks = [Mark(start, end, ANSWER) for start, end in one.right]
    marks += [Mark(one.found[0], one.found[1], FOUND)] if one.found else []
    shown = '<span class="docqa-cut"> … </span>'.join(mark_html(piece.text, marks, piece.start) for piece in one.pieces)
    found = ' <mark class="found">what was found</mark>' if one.found else ""
    told = f'<p class="docqa-quiet"><mark class="answer">right answer</mark>{found}</p>'
    text = f'<div class="docqa-text" dir="{direction(one.language)}" lang="{escape_html(one.language)}">{shown}</div>'
    return f'<details><summary>In the text</summary><div class="docqa-read">{text}{told}</div></details>'


def _pair(label: str, texts: Iterable[str], language: str) -> str:
    said = "".join(
        f"<dd>{directed_text(text, language) if text else '<em>no answer</em>'}</dd>" for text in list(texts) or [""]
    )
    return f"<div><dt>{escape_html(label)}</dt>{said}</div>"


def directed_text(words: str, language: str) -> str:
    """A text in the direction of its language, even if it starts with a number.

    >>> directed_text("1912", "ar")
    '<div class="docqa-spoken" dir="rtl" lang="ar">1912</div>'
    """
    return f'<div class="docqa-spoken" dir="{direction(language)}" lang="{escape_html(language)}">{escape_html(words)}</div>'


def direction(language: str) -> str:
    """
    >>> direction("fa"), direction("de")
    ('rtl', 'auto')
    """
    return "rtl" if language.partition("-")[0] in RIGHT_TO_LEFT else "auto"
