"""The login: a person enters a key, which is checked with the service and kept in this process.

The browser gets a random token in a cookie that scripts cannot read. The key is never in an address.
"""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ui.access.guard import LOGIN, cookie, refusal_of
from ui.access.logins import COOKIE, LOGINS

BODY = 4_096
UNKNOWN = "This key is not known, or it has expired."
AWAY = "The service does not answer at the moment; try again."

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · docqa</title><style>
body{{font:16px/1.5 system-ui,sans-serif;color-scheme:light dark;max-width:24rem;margin:15vh auto;padding:0 1rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.4rem 0}}p[role=alert]{{color:#b3261e}}
</style></head><body><h1>docqa</h1><p>Enter your key. `docqa keys HOME add` creates one.</p>{problem}
<form method="post" action="{login}"><label>Key <input name="key" type="password" autocomplete="current-password"
 required autofocus maxlength="200"></label><input type="hidden" name="next" value="{back}"><button>Sign in</button></form>
</body></html>
"""


async def _show(request: Request) -> Response:
    return _page(request.query_params.get("next", ""))


async def _sign_in(request: Request) -> Response:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY:
            return _page("", "The form is too large.", 413)
    fields = parse_qs(body.decode("utf-8", "replace"))
    key, back = (fields.get(name, [""])[0].strip() for name in ("key", "next"))
    if not (key.isascii() and key.isprintable() and key):
        return _page(back, UNKNOWN, 401)
    problem = await asyncio.to_thread(refusal_of, key)
    if problem is not None:
        return _page(back, UNKNOWN if problem.status else AWAY, 401 if problem.status else 503)
    LOGINS.remove(cookie(request.headers))
    answer = RedirectResponse(_inside(back), status_code=303)
    is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    answer.set_cookie(COOKIE, LOGINS.add(key), httponly=True, samesite="lax", secure=is_secure)
    return answer


ROUTES = (
    Route(LOGIN, _show, methods=["GET"]),
    Route(LOGIN, _sign_in, methods=["POST"]),
)


def _page(back: str, problem: str = "", status: int = 200) -> Response:
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    text = PAGE.format(problem=alert, login=LOGIN, back=escape(_inside(back)))
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def _inside(address: str) -> str:
    """An address of this page; "/" for one that leads elsewhere.

    >>> [_inside(address) for address in ("/ask?q=x", "//evil.example", "/\\\\evil.example", "https://evil.example", "")]
    ['/ask?q=x', '/', '/', '/', '/']
    """
    leads_out = not address.startswith("/") or address[1:2] in ("/", "\\") or not address.isprintable()
    return "/" if leads_out or address.startswith(LOGIN) else address
