"""Keyboard shortcuts, and what else needs a script of the page.

Arrows (or j and k) move between answers, and Enter opens one. n and p step through the hits of a document, N and P through
the documents. `?` lists the keys. In a text box or a dialog no letter is a key. Without JavaScript the page works as well.
"""

from __future__ import annotations

import streamlit as st

SCRIPT = """<script>
(() => {
  if (window.docqaKeys) return;
  window.docqaKeys = true;
  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Only pages over HTTPS or of this machine have that.
      const box = document.body.appendChild(document.createElement("textarea"));
      box.value = text;
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      if (!done) return false;
    }
    return true;
  };
  // A run of the script may draw the card of the focused answer again; the focus then falls to the body of the page.
  const cards = "[class*=st-key-answer-], [class*=st-key-low-], [class*=st-key-hit-]";
  let held = "";
  document.addEventListener("focusin", (event) => {
    const card = event.target.matches(".docqa-answer") && event.target.closest(cards);
    held = card ? [...card.classList].find((one) => one.startsWith("st-key-")) : "";
  });
  document.addEventListener("pointerdown", () => { held = ""; });
  const pressed = (event) => {
    const redrawn = held && event.target === document.body && document.getElementsByClassName(held)[0];
    return (redrawn && redrawn.querySelector(".docqa-answer")) || event.target;
  };
  // The links of a card come with a part of Streamlit that the browser loads after the text.
  const opened = (card, left = 100) => {
    const link = [...card.querySelectorAll("a[href]")].find((one) => one.checkVisibility());
    if (link) link.click();
    else if (left && card.isConnected) setTimeout(opened, 50, card, left - 1);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest(".docqa-copy");
    if (!button) return;
    const told = button.parentElement.querySelector("[role=status]");
    told.textContent = (await copied(button.dataset.citation)) ? "Copied" : "The browser does not allow copying";
    button.focus();
    setTimeout(() => { told.textContent = ""; }, 3000);
  });
  document.addEventListener("keydown", (event) => {
    const at = pressed(event);
    const typing = at.isContentEditable || at.closest("input, textarea, select, [role=dialog]");
    const help = document.getElementById("docqa-keys");
    if (help && (event.key === "Escape" || (event.key === "?" && !typing))) { help.remove(); return; }
    if (event.key === "?" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const list = document.createElement("div");
      list.id = "docqa-keys";
      list.setAttribute("role", "dialog");
      list.setAttribute("aria-label", "Keys");
      const rows = [["↓ or j", "next answer"], ["↑ or k", "previous answer"], ["Enter", "open the answer in its document"],
        ["n or p", "next or previous hit in the document"], ["N or P", "next or previous document"],
        ["/", "to the question"], ["?", "show or hide these keys"]];
      for (const [key, what] of rows) {
        const row = list.appendChild(document.createElement("div"));
        row.appendChild(document.createElement("kbd")).textContent = key;
        row.appendChild(document.createElement("span")).textContent = what;
      }
      document.querySelector("[data-testid=stApp]").appendChild(list);
      return;
    }
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const box = document.querySelector("input[aria-label=Question]");
      if (box) { event.preventDefault(); box.focus(); box.select(); }
      return;
    }
    if (event.key === "Enter" && at.matches(".docqa-answer")) {
      const card = at.closest(cards);
      if (card) { event.preventDefault(); opened(card); }
      return;
    }
    const turn = {n: "Next", p: "Previous", N: "Next document", P: "Previous document"}[event.key];
    if (turn && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const buttons = [...document.querySelectorAll(".st-key-hits button, .st-key-documents button")];
      const found = buttons.find((one) => one.textContent.trim() === turn && !one.disabled);
      if (found) { event.preventDefault(); found.click(); }
      return;
    }
    const step = {ArrowDown: 1, j: 1, ArrowUp: -1, k: -1}[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const asking = at.matches("input[aria-label=Question]") && event.key.startsWith("Arrow");
    const taken = "input, textarea, select, [role=slider], [role=listbox], [role=dialog], [role=radiogroup], [role=tablist]";
    if (at.isContentEditable || (!asking && at.closest(taken))) return;
    const seen = (one) => one.checkVisibility({visibilityProperty: true});
    const all = [...document.querySelectorAll(".docqa-answer")].filter(seen);
    if (!all.length) return;
    const now = all.findIndex((one) => one === at || one.contains(at));
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
        const beside = at && at.closest("[data-testid=stColumn]:has(.st-key-beside)");
        const mark = at && (at.nextElementSibling || at);
        if (beside && getComputedStyle(beside).position === "sticky") {{
          const down = mark.getBoundingClientRect().top - beside.getBoundingClientRect().top;
          beside.scrollTop += down - beside.clientHeight / 2;
        }} else if (at) mark.scrollIntoView({{block: "center"}});
        else if (left-- > 0) setTimeout(look, 50);
      }};
      look();
    }})();</script>"""
    st.html(script, unsafe_allow_javascript=True)
