"""The Streamlit application: `streamlit run ui/app.py`. It only displays the service's replies."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.state.session import RETRY_SHOWN, show_login
from ui.state.url import ASK, BATCH, CORPORA, DOCUMENT, PAGE, QUALITY, SAVED, addressed

STYLE, ICON = Path(__file__).with_name("style.css"), Path(__file__).with_name("icon.svg")
PAGES = (
    (ASK, "Ask"),
    (DOCUMENT, "Document"),
    (CORPORA, "Collections"),
    (BATCH, "Batch"),
    (SAVED, "Saved questions"),
    (QUALITY, "Quality"),
)


def main() -> None:
    """Draws the frame of every page, then the page."""
    st.set_page_config(page_title="docqa", page_icon=str(ICON), layout="wide")
    st.html(STYLE)
    here = Path(__file__).parent
    pages = [
        st.Page(here / file, title=title, url_path=Path(file).stem, default=file == ASK)
        for file, title in PAGES
        if (here / file).is_file()
    ]
    page = st.navigation(pages)
    st.session_state[PAGE] = page.url_path
    st.session_state[RETRY_SHOWN] = False
    show_login()
    with addressed(page.url_path):
        page.run()


if __name__ == "__main__":
    main()
