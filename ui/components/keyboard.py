"""Keyboard shortcuts: arrows (or j and k) move between answers.

Without JavaScript the page works as well."""

from __future__ import annotations

import streamlit as st

SCRIPT = """<script>
(() => {
  if (window.docqaKeys) return;
  window.docqaKeys = true;
  document.addEventListener("keydown", (event) => {
    const step = {ArrowDown: 1, j: 1, ArrowUp: -1, k: -1}[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const at = event.target, asking = at.matches("input[aria-label=Question]") && event.key.startsWith("Arrow");
    const taken = "input, textarea, select, [role=slider], [role=listbox], [role=dialog], [role=radiogroup], [role=tablist]";
    if (at.isContentEditable || (!asking && at.closest(taken))) return;
    const seen = (one) => one.checkVisibility({visibilityProperty: true});
    const all = [...document.querySelectorAll(".docqa-answer")].filter(seen);
    if (!all.length) return;
    const now = all.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
    const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step));
    event.preventDefault();
    all[next].focus({preventScroll: true});
    all[next].scrollIntoView({block: "center"});
  });
})();
</script>"""


def arrows() -> None:
    """Installs the key listener, once per page."""
    st.html(SCRIPT, unsafe_allow_javascript=True)


def bring(id: str, why: str) -> None:
    """Scrolls to the element with this id (letters, digits, dashes), again whenever `why` changes."""
    script = f"""<script>(() => {{ // {why}
      let left = 20;
      const look = () => {{
        const at = document.getElementById("{id}");
        if (at) (at.nextElementSibling || at).scrollIntoView({{block: "center"}});
        else if (left-- > 0) setTimeout(look, 50);
      }};
      look();
    }})();</script>"""
    st.html(script, unsafe_allow_javascript=True)
