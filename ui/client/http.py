"""HTTP client of the service: every route as a method with typed results.

It works on its own: it needs httpx, httpx-sse and msgspec, and nothing else of docqa. Errors are raised as `ApiError`
with the service's message. Unknown fields of a newer service are ignored.

    with Client("http://127.0.0.1:8080") as client:
        client.ask("reports", "When was the bridge opened?").answers[0].text
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote, unquote

import httpx
import msgspec
from httpx_sse import EventSource, SSEError

from ui.client.schemas import (
    ENDED,
    ApiError,
    Change,
    Corpus,
    Document,
    Documents,
    Evaluation,
    Event,
    FailedQuestion,
    Feedback,
    File,
    Job,
    Limits,
    Model,
    Page,
    Predictions,
    ReadAnswer,
    Readiness,
    Reply,
    RunComparison,
    SavedQuestion,
    UploadReceipt,
    WordHits,
    value,
)

Content = bytes | str | Path | IO[bytes]
Filters = Mapping[str, Any]
Many = str | Iterable[str] | None
T = TypeVar("T")
PAGE = 1_000


# -- the client --------------------------------------------------------------------------------------------------------


class Client:
    """Client of the service at `url`. Thread-safe. Use it in a `with` block, or close it.

    key: sent with every request. timeout: seconds per request. patience: total seconds to retry while the service is busy;
    0 raises at once.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8080", key: str = "", *, timeout: float = 60.0, patience: float = 0.0
    ) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=limits, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    # the service

    def get_health(self) -> str:
        """ "up" if the process runs."""
        return str(self._json("GET", "/health")["status"])

    def get_readiness(self) -> Readiness:
        """Whether the service can answer questions, and the reason if not."""
        return value(Readiness, self._send("GET", "/ready", fine=(503,)).json())

    def get_metrics(self) -> str:
        """Metrics in Prometheus's text format."""
        return self._send("GET", "/metrics").text

    def get_description(self) -> dict[str, Any]:
        """The OpenAPI description."""
        return dict(self._json("GET", "/schema/openapi.json"))

    def list_models(self) -> tuple[Model, ...]:
        """The named models."""
        return value(tuple[Model, ...], self._json("GET", "/v1/models"))

    def get_limits(self) -> Limits:
        """The largest file and upload that the service takes."""
        return value(Limits, self._json("GET", "/v1/limits"))

    # corpora

    def list_corpora(self) -> tuple[Corpus, ...]:
        """The corpora that the key may read."""
        return self._pages("GET", "/v1/corpora", Corpus)

    def create_corpus(self, name: str, *, title: str = "", embedder: str = "builtin") -> Corpus:
        """Creates an empty corpus."""
        body = {"name": name, "title": title, "embedder": embedder}
        return value(Corpus, self._json("POST", "/v1/corpora", json=body))

    def get_corpus(self, name: str) -> Corpus:
        """Counts of a corpus, and its files that could not be read."""
        return value(Corpus, self._json("GET", _at(name)))

    def delete_corpus(self, name: str) -> None:
        """Deletes a corpus with all its data."""
        self._send("DELETE", _at(name))

    # documents

    def upload(self, corpus: str, files: Iterable[tuple[str, Content]]) -> UploadReceipt:
        """Uploads (name, content) files; a Path or an open file is streamed."""
        return value(UploadReceipt, self._files("POST", _at(corpus, "documents"), "files", files, {}))

    def list_documents(
        self,
        corpus: str,
        *,
        language: Many = None,
        type: Many = None,
        folder: Many = None,
        source: str | None = None,
        offset: int = 0,
        limit: int = 50,
        **more: Any,
    ) -> Documents:
        """Documents by source, with facet counts of language, type and folder; several values of a filter are alternatives.

        source: a glob on the file's name.
        more: id (documents), meta ("field=value"), since, until (of the date), fields (True also counts metadata fields).
        """
        query = {"language": language, "type": type, "folder": folder, "source~": source, "offset": offset, "limit": limit}
        return value(Documents, self._json("GET", _at(corpus, "documents"), params=_given({**query, **more})))

    def get_document(self, corpus: str, id: str, *, start: int | None = None, end: int | None = None) -> Document:
        """A document with its text, or with a slice of it."""
        return value(Document, self._json("GET", _at(corpus, "documents", id), params=_given({"start": start, "end": end})))

    def get_original(self, corpus: str, id: str) -> File:
        """The source file of a document."""
        return _file(self._send("GET", _at(corpus, "documents", id, "original")))

    def get_page_image(
        self, corpus: str, id: str, page: int, *, start: int | None = None, end: int | None = None, scale: float = 1.5
    ) -> Page:
        """A page of a PDF as an image, with boxes around the part of start..end on it."""
        query = _given({"start": start, "end": end, "scale": scale})
        return value(Page, self._json("GET", _at(corpus, "documents", id, "pages", str(page)), params=query))

    def delete_document(self, corpus: str, id: str, *, whole_file: bool = False) -> Job:
        """Deletes the source file of a document. whole_file: also if it contains other documents."""
        query = {"whole_file": "true"} if whole_file else {}
        return value(Job, self._json("DELETE", _at(corpus, "documents", id), params=query)["job"])

    def delete_file(self, corpus: str, source: str | Sequence[str]) -> Job:
        """Deletes a file by name, or several in one job, including those that could not be read."""
        return value(Job, self._json("DELETE", _at(corpus, "files"), params={"source": source})["job"])

    # questions

    def ask(self, corpus: str, question: str, filters: Filters | None = None, **settings: Any) -> Reply:
        """Answers a question. settings: top_k, retrieve, no_answer_threshold, thorough, read_at_least, budget_ms, words."""
        return value(Reply, self._json("POST", _at(corpus, "ask"), json=_body(question, filters, settings)))

    def search(self, corpus: str, question: str, filters: Filters | None = None, **settings: Any) -> Reply:
        """The closest passages. settings: retrieve, words."""
        return value(Reply, self._json("POST", _at(corpus, "search"), json=_body(question, filters, settings)))

    def search_words(
        self, corpus: str, words: str, filters: Filters | None = None, *, offset: int = 0, limit: int = 10
    ) -> WordHits:
        """The passages with words: `"a phrase"`, AND, OR, NOT, `begin*`, `a NEAR/5 b`, `field:value`."""
        body = {"words": words, "offset": offset, "limit": limit, **_given({"filters": filters})}
        return value(WordHits, self._json("POST", _at(corpus, "words"), json=body))

    def ask_batch(self, corpus: str, questions: Iterable[Mapping[str, Any]]) -> tuple[Reply | FailedQuestion, ...]:
        """Answers to each of {"question", "filters"?, "top_k"?, …}, in order."""
        return _replies(self._json("POST", _at(corpus, "ask", "batch"), json={"questions": list(map(dict, questions))}))

    def search_batch(self, corpus: str, questions: Iterable[Mapping[str, Any]]) -> tuple[Reply | FailedQuestion, ...]:
        """Passages for each of {"question", "filters"?, "retrieve"?}, in order."""
        return _replies(self._json("POST", _at(corpus, "search", "batch"), json={"questions": list(map(dict, questions))}))

    def ask_stream(self, corpus: str, question: str, filters: Filters | None = None, **settings: Any) -> Iterator[Event]:
        """Events while the question is answered, the last one with the reply; stop iterating to cancel."""
        request = self._request("POST", _at(corpus, "ask", "stream"), json=_body(question, filters, settings))
        response = self._sent(request, stream=True)
        try:
            for sent in EventSource(response).iter_sse():
                yield _event(sent.event, sent.json())
        except SSEError as error:
            raise ApiError(f"{self.url} did not answer with events; is it docqa's address?") from error
        except httpx.HTTPError as error:
            raise _unreached(self.url, error) from error
        finally:
            response.close()

    def read(self, question: str, context: str) -> ReadAnswer:
        """The answer from one text, "" for no answer."""
        return value(ReadAnswer, self._json("POST", "/v1/read", json={"question": question, "context": context}))

    def read_batch(self, items: Iterable[tuple[str, str]]) -> tuple[ReadAnswer, ...]:
        """An answer for each (question, text), in order."""
        body = {"items": [{"question": question, "context": context} for question, context in items]}
        return value(tuple[ReadAnswer, ...], self._json("POST", "/v1/read/batch", json=body)["answers"])

    # jobs

    def list_jobs(self, corpus: str | None = None, *, limit: int = 100) -> tuple[Job, ...]:
        """Jobs, newest first, without results."""
        return self._pages("GET", "/v1/jobs", Job, limit, corpus=corpus)

    def get_job(self, id: str) -> Job:
        """The current state of a job."""
        return value(Job, self._json("GET", f"/v1/jobs/{quote(id, safe='')}"))

    def cancel_job(self, id: str) -> Job:
        """Cancels a job."""
        return value(Job, self._json("DELETE", f"/v1/jobs/{quote(id, safe='')}"))

    def wait_for_job(self, id: str, timeout: float = 600.0, every: float = 0.2) -> Job:
        """Waits until a job ends. Raises ApiError after `timeout` seconds."""
        until = time.monotonic() + timeout
        while (job := self.get_job(id)).state not in ENDED:
            if time.monotonic() > until:
                raise ApiError(f"The job {id} did not end within {timeout:g} seconds; ask for it again later.")
            time.sleep(every)
        return job

    def ask_file(self, corpus: str, name: str, content: Content, *, format: str = "csv") -> Job:
        """Starts a job that answers a file of questions; `get_job_result` returns the answers."""
        sent = self._files("POST", _at(corpus, "questions"), "file", [(name, content)], {"format": format})
        return value(Job, sent["job"])

    def get_job_result(self, id: str, format: str | None = None) -> File:
        """The answers of a question file job, as csv, xlsx or jsonl."""
        return _file(self._send("GET", f"/v1/jobs/{quote(id, safe='')}/result", params=_given({"format": format})))

    # feedback and saved questions

    def add_feedback(
        self,
        corpus: str,
        question: str,
        verdict: str,
        *,
        document_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
        text: str | None = None,
    ) -> Feedback:
        """Records that an answer is right, wrong, or corrected to this span."""
        body = {"document_id": document_id, "start": start, "end": end, "text": text}
        body = {"question": question, "verdict": verdict, **_given(body)}
        return value(Feedback, self._json("POST", _at(corpus, "feedback"), json=body))

    def list_feedback(self, corpus: str) -> tuple[Feedback, ...]:
        """All feedback, newest first."""
        return self._pages("GET", _at(corpus, "feedback"), Feedback)

    def get_feedback(self, corpus: str, id: str) -> Feedback:
        """One item of feedback."""
        return value(Feedback, self._json("GET", _at(corpus, "feedback", id)))

    def export_feedback(self, corpus: str) -> dict[str, Any]:
        """All feedback as SQuAD 2.0."""
        return dict(self._json("GET", _at(corpus, "feedback", "export")))

    def feedback_file(self, corpus: str) -> bytes:
        """The same as a file."""
        return msgspec.json.encode(self.export_feedback(corpus))

    def delete_feedback(self, corpus: str, id: str) -> None:
        """Deletes one item of feedback."""
        self._send("DELETE", _at(corpus, "feedback", id))

    def save_question(
        self, corpus: str, question: str, filters: Filters | None = None, settings: Mapping[str, Any] | None = None
    ) -> SavedQuestion:
        """Saves a question, to run it again later."""
        body = {"question": question, **_given({"filters": filters, "settings": settings})}
        return value(SavedQuestion, self._json("POST", _at(corpus, "saved"), json=body))

    def list_saved_questions(self, corpus: str) -> tuple[SavedQuestion, ...]:
        """The saved questions, newest first."""
        return self._pages("GET", _at(corpus, "saved"), SavedQuestion)

    def get_saved_question(self, corpus: str, id: str) -> SavedQuestion:
        """A saved question with its answers."""
        return value(SavedQuestion, self._json("GET", _at(corpus, "saved", id)))

    def run_saved_question(self, corpus: str, id: str) -> Change:
        """Runs a saved question again; returns new and disappeared answers."""
        return value(Change, self._json("POST", _at(corpus, "saved", id, "run")))

    def see_saved_question(self, corpus: str, id: str) -> SavedQuestion:
        """Marks the changes of a saved question as seen."""
        return value(SavedQuestion, self._json("POST", _at(corpus, "saved", id, "seen")))

    def delete_saved_question(self, corpus: str, id: str) -> None:
        """Deletes a saved question."""
        self._send("DELETE", _at(corpus, "saved", id))

    # evaluations

    def list_evaluations(self) -> tuple[Evaluation, ...]:
        """The runs of `docqa evaluate` in the home folder, newest first, without their tables."""
        return self._pages("GET", "/v1/evaluations", Evaluation)

    def get_evaluation(self, name: str) -> Evaluation:
        """A run with its table."""
        return value(Evaluation, self._json("GET", f"/v1/evaluations/{quote(name, safe='')}"))

    def get_plot(self, name: str, file: str) -> File:
        """One of the plots that a run lists."""
        run = quote(name, safe="")
        found = self._send("GET", f"/v1/evaluations/{run}/plots/{quote(file, safe='')}")
        return File(file, found.headers.get("content-type", ""), found.content)

    def list_predictions(
        self,
        name: str,
        *,
        language: str | None = None,
        verdict: str | None = None,
        order: str = "asked",
        offset: int = 0,
        limit: int = 50,
    ) -> Predictions:
        """The predictions of a run. verdict: right, partly or wrong; order: asked or surest."""
        query = {"language": language, "verdict": verdict, "order": order, "offset": offset, "limit": limit}
        run = quote(name, safe="")
        return value(Predictions, self._json("GET", f"/v1/evaluations/{run}/predictions", params=_given(query)))

    def compare_evaluations(self, a: str, b: str, scorer: str | None = None) -> RunComparison:
        """Compares two runs over the same questions. scorer: default: the one that both runs used."""
        left, right = quote(a, safe=""), quote(b, safe="")
        query = _given({"scorer": scorer})
        return value(RunComparison, self._json("GET", f"/v1/evaluations/{left}/compare/{right}", params=query))

    # over HTTP

    def _pages(self, method: str, path: str, kind: type[T], limit: int | None = None, **query: Any) -> tuple[T, ...]:
        """The items of a list, or the first `limit`; the address of the next page is in the Link header of each."""
        found: list[T] = []
        params: dict[str, Any] | None = _given({**query, "limit": min(PAGE, PAGE if limit is None else limit)})
        while True:
            response = self._send(method, path, params=params)
            found += value(tuple[kind, ...], self._decoded(response))  # type: ignore[valid-type]
            path, params = response.links.get("next", {}).get("url", ""), None
            if not path or (limit is not None and len(found) >= limit):
                return tuple(found[:limit])

    def _json(self, method: str, path: str, **sent: Any) -> Any:
        return self._decoded(self._send(method, path, **sent))

    def _decoded(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise ApiError(f"{self.url} did not answer with JSON; is it docqa's address?", response.status_code) from error

    def _files(self, method: str, path: str, name: str, files: Iterable[tuple[str, Content]], data: dict[str, str]) -> Any:
        opened: list[IO[bytes]] = []
        try:
            parts = []
            for called, content in files:
                if isinstance(content, Path):
                    content = content.open("rb")
                    opened.append(content)
                parts.append((name, (called, content)))
            return self._json(method, path, files=parts, data=data)
        finally:
            for file in opened:
                file.close()

    def _send(self, method: str, path: str, fine: tuple[int, ...] = (), **sent: Any) -> httpx.Response:
        until = time.monotonic() + self.patience
        while True:
            try:
                return self._sent(self._request(method, path, **sent), fine=fine)
            except ApiError as error:
                wait = error.retry_after or 1.0
                if error.status != 429 or "files" in sent or time.monotonic() + wait > until:
                    raise
            time.sleep(wait)

    def _request(self, method: str, path: str, **sent: Any) -> httpx.Request:
        try:
            return self._http.build_request(method, path, **sent)
        except httpx.InvalidURL as error:
            raise ApiError("The address of the request is too long; send fewer or shorter values.", 414) from error

    def _sent(self, request: httpx.Request, *, stream: bool = False, fine: tuple[int, ...] = ()) -> httpx.Response:
        try:
            response = self._http.send(request, stream=stream)
            if response.is_success or response.status_code in fine:
                return response
            response.read()
        except httpx.HTTPError as error:
            raise _unreached(self.url, error) from error
        response.close()
        raise _refused(response)


def _at(corpus: str, *parts: str) -> str:
    return "/".join(["/v1/corpora", *(quote(part, safe="") for part in (corpus, *parts))])


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given for name, given in values.items() if given is not None}


def _body(question: str, filters: Filters | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"question": question, **_given({"filters": filters, **settings})}


def _replies(found: Mapping[str, Any]) -> tuple[Reply | FailedQuestion, ...]:
    return tuple(value(FailedQuestion, one) if "error" in one else value(Reply, one) for one in found["replies"])


def _event(name: str, data: Mapping[str, Any]) -> Event:
    if name == "error":
        raise _problem(data, int(data.get("status", 500)), None)
    if name == "reply":
        reply = value(Reply, data)
        return Event(name, reply.passages, reply.answers, len(reply.passages), len(reply.passages), reply)
    return value(Event, {"name": name, **data})


def _file(response: httpx.Response) -> File:
    told = response.headers.get("content-disposition", "")
    name = re.search(r"filename\*=UTF-8''([^;]+)", told)
    return File(unquote(name[1]) if name else "", response.headers.get("content-type", ""), response.content)


def _refused(response: httpx.Response) -> ApiError:
    after = response.headers.get("retry-after", "")
    try:
        return _problem(dict(response.json()), response.status_code, float(after) if after.isdigit() else None)
    except ValueError:
        return ApiError(f"{response.url} answered {response.status_code}; is it docqa's address?", response.status_code)


def _problem(data: Mapping[str, Any], status: int, retry_after: float | None) -> ApiError:
    kind = str(data.get("type", "")).rpartition(":")[2]
    return ApiError(str(data.get("detail", "")) or f"The service answered {status}.", status, kind, retry_after)


def _unreached(url: str, error: httpx.HTTPError) -> ApiError:
    if isinstance(error, httpx.TimeoutException):
        return ApiError(f"{url} did not answer in time; ask again, or allow more time.")
    return ApiError(f"{url} cannot be reached ({error}); start it with `docqa serve`.")
