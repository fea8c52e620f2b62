"""The page as it is served: Streamlit's application behind the guard, with the login.

`streamlit run ui/server.py`; Streamlit's option `server.allowedHosts` names the allowed hosts.
"""

from __future__ import annotations

from pathlib import Path

from starlette.middleware import Middleware
from streamlit import config
from streamlit.starlette import App

from ui.access.guard import Guard
from ui.access.login import ROUTES

app = App(
    Path(__file__).with_name("app.py"),
    routes=ROUTES,
    middleware=[Middleware(Guard, hosts=config.get_option("server.allowedHosts"))],
)
