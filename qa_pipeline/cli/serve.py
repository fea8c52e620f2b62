"""Commands of the service: `serve`, `keys`, `ui`. Heavy modules load when a command runs."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.cli.output import print_json

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from qa_pipeline.service.api_keys import Key, KeyStore
    from qa_pipeline.service.settings import ServerSettings

AGAIN_S = 1.0
FLAGS = (
    ("--home", "HOME", "the home folder, created if it is missing"),
    ("--host", "ADDRESS", "address to listen at (127.0.0.1); any but this machine's own needs a key"),
    ("--port", "N", "port to listen at (8080); 0 takes a free one"),
    ("--reader", "NAME", "preset, hub id or folder; `builtin` needs no download"),
    ("--precision", "NAME", "how the reader computes: auto, fp32, bf16, fp16 (GPU) or int8"),
    ("--pipeline", "FILE", "Haystack pipeline (YAML) that answers, instead of the usual one"),
    ("--concurrency", "N", "questions read at once (as many as cores)"),
    ("--queue", "N", "questions that may wait (four times that)"),
    ("--key-batches", "N", "batches of one key at once (2)"),
    ("--key-bytes", "N", "bytes of JSON bodies of one key at once (100,000,000)"),
    ("--deadline-s", "SECONDS", "time for a question, from its arrival (60)"),
    ("--body-s", "SECONDS", "time for the head of a request, and for its body (20)"),
    ("--connections", "N", "connections open at once (1,000)"),
    ("--read-chars", "N", "characters of a text at /v1/read (200,000)"),
    ("--open-corpora", "N", "corpora kept open at once (64)"),
    ("--uploads-bytes", "N", "bytes of all kept question files and answers (10,000,000,000)"),
    ("--top-k", "N", "answers or passages one may ask for (100)"),
    ("--batch", "N", "questions in one request (1,000)"),
    ("--questions", "N", "questions in one file (10,000)"),
    ("--body-bytes", "N", "bytes of a JSON body (32,000,000)"),
    ("--file-bytes", "N", "bytes of one file (50,000,000)"),
    ("--upload-bytes", "N", "bytes of one upload (500,000,000)"),
    ("--upload-files", "N", "files in one upload (1,000)"),
    ("--cors-origins", "LIST", "pages that may call, with commas between; none unless set"),
    ("--log-questions", "YES|NO", "whether the text of questions may be logged (no)"),
    ("--shutdown-s", "SECONDS", "time to finish what was taken (30)"),
    ("--ocr", "MODE", "whether text in pictures and scanned pages is recognised: auto, off or force (auto)"),
    ("--ocr-languages", "CODES", "languages in them, as de,fr; by default each page's script decides"),
    ("--keep-days", "DAYS", "how long answers to question files are kept (30)"),
)
END_S = 60.0
OWN_NAMES = ("localhost", "127.0.0.1", "::1")
PRIVATE = 0o077
LEAN = "answer by plain functions, without Haystack: it starts faster"


def add_verbs(verbs: Any) -> None:
    """Add the verbs of the service with their options."""
    serve = verbs.add_parser("serve", help="serve a home folder of corpora over HTTP")
    for flag, name, about in FLAGS:
        serve.add_argument(flag, metavar=name, help=about)
    serve.add_argument("--no-keys", action="store_const", const=True, help="need no key, on this machine's own address only")
    serve.add_argument("--lean", action="store_const", const=True, help=LEAN)
    serve.set_defaults(run=_serve)
    keys = verbs.add_parser("keys", help="who may use a service")
    keys.add_argument("home", metavar="HOME", type=Path)
    keys.add_argument("action", choices=("add", "list", "rotate", "remove"))
    keys.add_argument("id", metavar="ID", nargs="?", help="which to remove, or to give a new secret")
    keys.add_argument("--label", metavar="TEXT", default="", help="whose it is")
    keys.add_argument("--write", action="store_true", help="may also write, not only ask")
    keys.add_argument("--corpus", action="append", default=[], metavar="NAME", help="only this corpus; again for more")
    keys.add_argument("--expires", metavar="DATE", default="", help="last moment of the key, ISO 8601 in UTC")
    keys.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only documents like this, and only reading; again for more (same name: or, other name: and)",
    )
    keys.add_argument("--json", action="store_true", help="one object a key")
    keys.set_defaults(run=_keys)
    ui = verbs.add_parser("ui", help="the page for people, over a service")
    ui.add_argument("--api", metavar="URL", default="http://127.0.0.1:8080", help="address of the service")
    ui.add_argument("--home", metavar="HOME", type=Path, help="serve this home folder, too, as long as the page runs")
    ui.add_argument("--reader", metavar="NAME", help="with --home: preset, hub id or folder; `builtin` needs no download")
    ui.add_argument("--pipeline", metavar="FILE", help="with --home: Haystack pipeline (YAML) that answers")
    ui.add_argument("--lean", action="store_true", help=f"with --home: {LEAN}")
    ui.add_argument("--port", type=int, default=8501, metavar="N", help="port of the page (8501)")
    about = "name by which browsers may reach the page, such as that of a proxy; again for more"
    ui.add_argument("--allowed-host", action="append", default=[], metavar="NAME", help=about)
    ui.set_defaults(run=_ui)


# -- serve -------------------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from qa_pipeline.service.settings import server_settings

    os.umask(PRIVATE)
    settings = server_settings(vars(options), os.environ)
    refuse_without_keys(settings)
    from indexing.models.registry import resolve
    from qa_pipeline.reading.malloc import few_heaps

    few_heaps()
    resolve(settings.reader, "reader")
    from qa_pipeline.api.app import create_app, with_headers
    from qa_pipeline.cli.http_protocol import ServiceServer
    from qa_pipeline.service.descriptors import raise_limit
    from qa_pipeline.service.service import Service

    _log()
    raise_limit()
    service = Service(settings)
    server = ServiceServer(config(settings, with_headers(create_app(service))), service.begin_stop)
    server.run()
    return 0 if server.started else 2


def refuse_without_keys(settings: ServerSettings) -> None:
    """Raises SettingError if other machines can reach the address and there is no key."""
    from qa_pipeline.service.api_keys import KeyStore
    from qa_pipeline.service.home import Home

    home = Home.open(settings.home, create=True)
    if not settings.is_local and not KeyStore(home.keys).list():
        raise SettingError(
            f"{settings.host} can be reached from other machines, and there is no key; create one with"
            f" `docqa keys {settings.home} add --label NAME`, or serve at 127.0.0.1."
        )


def config(settings: ServerSettings, app: ASGIApp) -> Any:
    """The uvicorn configuration of the service. uvicorn logs the address on standard error once it listens."""
    import uvicorn

    from qa_pipeline.cli.http_protocol import protocol_with_deadline

    return uvicorn.Config(
        app,
        http=protocol_with_deadline(settings.body_s),
        limit_concurrency=settings.connections,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # type: ignore[arg-type]
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, settings.shutdown_s),
    )


def _log() -> None:
    """Log the service and the server to standard error."""
    import logging

    from qa_pipeline.service.log_limits import RepeatedLines

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    for name in ("docqa", "qa_pipeline", "indexing", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedLines())


# -- keys --------------------------------------------------------------------------------------------------------------


def _keys(options: argparse.Namespace) -> int:
    from qa_pipeline.service.api_keys import KeyStore
    from qa_pipeline.service.home import Home

    os.umask(PRIVATE)
    home = Home.open(options.home, create=options.action == "add")
    act: Callable[[KeyStore, argparse.Namespace], int] = {"add": _add, "list": _list, "rotate": _rotate, "remove": _remove}[
        options.action
    ]
    return act(KeyStore(home.keys), options)


def _add(keys: KeyStore, options: argparse.Namespace) -> int:
    from indexing.store.filters import parse_terms

    chosen = {"expires": options.expires, "filter": parse_terms(options.filter)}
    return _shown(options, *keys.add(options.label, write=options.write, corpora=options.corpus, **chosen))


def _rotate(keys: KeyStore, options: argparse.Namespace) -> int:
    if not options.id:
        raise SettingError("Name the key to give a new secret by its id; `docqa keys HOME list` shows them.")
    return _shown(options, *keys.rotate(options.id))


def _shown(options: argparse.Namespace, key: Key, secret: str) -> int:
    if options.json:
        print_json({**_facts(key), "secret": secret})
    else:
        print(secret)
        print(f"docqa: the key {key.id} {_words(key)}; its secret is shown this once.", file=sys.stderr)
    return 0


def _list(keys: KeyStore, options: argparse.Namespace) -> int:
    for key in keys.list():
        if options.json:
            print_json(_facts(key))
        else:
            print(f"{key.id}  {key.created[:10]}  {key.label}: {_words(key)}")
    return 0


def _remove(keys: KeyStore, options: argparse.Namespace) -> int:
    if not options.id:
        raise SettingError("Name the key to remove by its id; `docqa keys HOME list` shows them.")
    keys.remove(options.id)
    return 0


def _facts(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ("id", "label", "write", "corpora", "created", "expires", "filter")}


def _words(key: Key) -> str:
    what = f"{'may change' if key.write else 'may ask'} {', '.join(key.corpora) or 'every corpus'}"
    until = f", {'expired' if key.is_expired else 'until'} {key.expires[:16]}" if key.expires else ""
    return what + (" for some documents" if key.filter is not None else "") + until


# -- ui ----------------------------------------------------------------------------------------------------------------


def _ui(options: argparse.Namespace) -> int:
    found = find_spec("ui")
    page = Path(next(iter(found.submodule_search_locations or [""]), "")) / "server.py" if found else Path("server.py")
    if not page.is_file():
        raise SettingError("This docqa was installed without its page; install it with the page's files.")
    if find_spec("streamlit") is None:
        raise SettingError("The page needs Streamlit; install it with `pip install streamlit`.")
    command = [sys.executable, "-m", "streamlit", "run", str(page), "--server.port", str(options.port)]
    names = (*OWN_NAMES, *options.allowed_host) if options.allowed_host else ()
    command += [f"--server.allowedHosts={name}" for name in names]
    ends = _Ends()
    ends.listen()
    with _service(options, ends) as address:
        print(f"docqa: the page is at http://127.0.0.1:{options.port} (Ctrl-C ends it)", file=sys.stderr)
        environment = {**os.environ, "DOCQA_API_URL": address}
        with _child(command, ends, env=environment, stdout=subprocess.DEVNULL) as shown:
            return shown.wait()


class _Ends:
    """Leaves by an exception at SIGTERM and SIGHUP, so that the blocks that started children end them.

    While a child is started, a signal waits: the exception would come before the block that ends the child.
    """

    def __init__(self) -> None:
        self._starting, self._number = False, 0

    def listen(self) -> None:
        """Handle the signals from now on."""
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._leave)

    def _leave(self, number: int, _: object) -> None:
        if not self._starting:
            sys.exit(128 + number)
        self._number = number

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a child. `started` has to be called within the block that ends it."""
        self._starting = True
        return subprocess.Popen(command, **options)

    def started(self) -> None:
        """Leave if a signal came meanwhile."""
        self._starting = False
        if self._number:
            sys.exit(128 + self._number)


@contextmanager
def _child(command: Sequence[str], ends: _Ends, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process for the duration of the block; then it is asked to end, and after END_S seconds killed."""
    child = ends.start(command, **options)
    try:
        ends.started()
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def _service(options: argparse.Namespace, ends: _Ends) -> Iterator[str]:
    """The address of the service: --api, or a service over --home that runs for the duration of the block."""
    if options.home is None:
        yield options.api
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "qa_pipeline.cli", "serve", "--home", str(options.home), "--port", str(port)]
    for name in ("reader", "pipeline"):
        command += [f"--{name}", getattr(options, name)] if getattr(options, name) else []
    command += ["--lean"] if options.lean else []
    over = threading.Event()
    service = ends.start(command)
    watched = _Watched(command, service, over)
    try:
        ends.started()
        _wait_for(service, port)
        watched.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        if watched.ident is not None:
            watched.join()
        _end(watched.service)


class _Watched(threading.Thread):
    """Starts the service again whenever its process ends, until `over`; at most every AGAIN_S seconds."""

    def __init__(self, command: list[str], service: subprocess.Popen[bytes], over: threading.Event) -> None:
        super().__init__(name="docqa-watch", daemon=True)
        self.command, self.service, self.over = command, service, over

    def run(self) -> None:
        while not self.over.wait(AGAIN_S):
            if self.service.poll() is not None:
                print(f"docqa: the service ended ({self.service.returncode}); it is started again.", file=sys.stderr)
                self.service = subprocess.Popen(self.command)


def _wait_for(service: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the service accepts connections. Raises SettingError if its process ends."""
    while service.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SettingError("The service did not start; its messages are above.")
