"""Text selection by mouse or keyboard, as a span of code points."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import streamlit as st

from ui.render.highlight import visible

CSS = """
textarea { box-sizing: border-box; width: 100%; min-height: 14rem; resize: vertical; padding: .75rem; line-height: 1.6;
  font: inherit; color: inherit; background: transparent; border: 1px solid rgba(128, 128, 128, .5); border-radius: .25rem;
  unicode-bidi: plaintext; text-align: start; }
textarea::selection { background: rgba(255, 193, 7, .55); }
"""
# A textarea counts UTF-16 code units; the spans of documents are code points.
JS = """
export default function ({ data, parentElement, setStateValue }) {
  let area = parentElement.querySelector("textarea");
  if (!area) {
    area = document.createElement("textarea");
    area.readOnly = true;
    area.dir = "auto";
    area.setAttribute("aria-label", "Passage");
    parentElement.appendChild(area);
  }
  if (area.value !== data.text) {
    const units = (points) => Array.from(data.text).slice(0, points).join("").length;
    area.value = data.text;
    area.lang = data.language;
    area.setSelectionRange(units(data.start), units(data.end));
    if (data.end > data.start) area.focus();
  }
  const points = (units) => Array.from(area.value.slice(0, units)).length;
  const tell = () => setStateValue("span", [points(area.selectionStart), points(area.selectionEnd)]);
  area.onmouseup = () => setTimeout(tell, 0);
  area.onkeyup = (event) => { if (event.key === "Shift" || !event.shiftKey) tell(); };
  return () => {};
}
"""


@cache
def _component() -> Any:
    return st.components.v2.component("docqa_span", css=CSS, js=JS)


def pick(text: str, span: tuple[int, int], language: str, key: str) -> tuple[int, int] | None:
    """The span selected in the text, initially `span`; None if it is empty or out of range."""
    shown = re.sub(r"\r", " ", visible(text))
    data = {"text": shown, "start": span[0], "end": span[1], "language": language}
    result = _component()(data=data, key=key, default={"span": list(span)}, on_span_change=lambda: None)
    return span_within(result.get("span"), len(text))


def span_within(given: Any, length: int) -> tuple[int, int] | None:
    """
    >>> span_within([2, 5], 9), span_within([2, 2], 9), span_within([0, 10], 9), span_within("x", 9)
    ((2, 5), None, None, None)
    """
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(isinstance(one, int | float) for one in given):
        return None
    start, end = int(given[0]), int(given[1])
    return (start, end) if 0 <= start < end <= length else None
