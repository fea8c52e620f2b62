"""Routes of documents: list, text, original file, page image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get
from litestar.params import Parameter
from litestar.response import File

from indexing.documents import Document
from indexing.errors import DocumentMissing, SettingError
from indexing.store.copies import MOST_NAMED, documents_with_text
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.listing import (
    Listing,
    ListingQuery,
    file_of,
    list_documents,
    missing_document,
    visible,
    whole_file_visible,
)
from qa_pipeline.answers import DocumentName
from qa_pipeline.api.auth import FILTERED, filter_of
from qa_pipeline.api.etags import ETAG, NOT_MODIFIED, etag_of, headers_of, is_current
from qa_pipeline.api.files import A_FILE, ANY_TYPE, HARMLESS, attachment
from qa_pipeline.api.page_images import DRAWN, page_of_document, words_of_page
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import DocumentText, Page
from qa_pipeline.service.home import Corpus
from qa_pipeline.service.service import Service

ApiRequest = Request[Any, Any, Any]
Place = Annotated[int | None, Parameter(ge=0, le=2**53, description="Code points from the beginning of the text.")]
Choices = Annotated[list[str] | None, Parameter(max_items=1_000)]
Pattern = Annotated[str | None, Parameter(max_length=1_000)]
Date = Annotated[str, Parameter(max_length=50, description="ISO 8601, or a beginning of it: 2019-07.")]

TYPES = {
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".eml": "message/rfc822",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@get(
    "/v1/corpora/{corpus:str}/documents",
    opt={FILTERED: True},
    tags=["documents"],
    summary="List documents",
    responses=error_responses(404, 503),
)
async def list_corpus_documents(
    corpus: str,
    service: Service,
    request: ApiRequest,
    language: Choices = None,
    folder: Choices = None,
    source: Pattern = None,
    pattern: Annotated[str | None, Parameter(query="source~", max_length=1_000)] = None,
    file_type: Annotated[list[str] | None, Parameter(query="type", max_items=1_000)] = None,
    ids: Annotated[list[str] | None, Parameter(query="id", max_items=1_000)] = None,
    year: Choices = None,
    meta: Annotated[list[str] | None, Parameter(max_items=1_000, description="field=value")] = None,
    not_language: Choices = None,
    not_type: Choices = None,
    not_folder: Choices = None,
    not_year: Choices = None,
    not_meta: Annotated[list[str] | None, Parameter(max_items=1_000, description="field=value")] = None,
    since: Date = "",
    until: Date = "",
    fields: Annotated[bool, Parameter(description="Also count fields of meta.")] = False,
    offset: Annotated[int, Parameter(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=1_000)] = 50,
) -> Listing:
    """List documents by source, with counts of languages, types, folders and years. source: the file of that name, else `*`
    and `?` in it are a pattern. source~: a pattern in any case (`*`, `?`, `[...]`). year: of the field date, "" for none.

    A repeated parameter matches any of its values; `not_…` excludes each of its values. fields: also count the metadata
    fields that distinguish documents.
    """
    excluded = {"language": not_language, "type": not_type, "folder": not_folder, "year": not_year}
    wanted = ListingQuery(
        language,
        file_type,
        folder,
        year,
        source,
        pattern,
        ids,
        [_pair(text) for text in meta or ()],
        {name: values for name, values in excluded.items() if values},
        [_pair(text) for text in not_meta or ()],
        since,
        until,
        allowed=filter_of(request),
    )

    def listed() -> Listing:
        with service.using(corpus) as opened:
            return list_documents(opened.folder, wanted, offset, limit, fields=fields)

    return await service.run_blocking(listed)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise SettingError(f"meta is {text[:80]!r}; write field=value.")
    return name, value


@get(
    "/v1/corpora/{corpus:str}/documents/{document:str}",
    opt={FILTERED: True},
    tags=["documents"],
    summary="Get a document",
    response_headers=ETAG,
    responses=error_responses(404, 503) | NOT_MODIFIED,
)
async def get_document(
    corpus: str, document: str, service: Service, request: ApiRequest, start: Place = None, end: Place = None
) -> Response[DocumentText]:
    """Get a document with its text, or with the part from start to end."""
    found, copies = await service.run_blocking(_document_and_copies, service, corpus, document, filter_of(request))
    first, last = _span(found, start, end)
    about = (found.id, found.source, found.content_hash, found.language, found.pages, found.headings, found.meta, copies)
    etag = etag_of(*about, first, last)
    if is_current(request, etag):
        return Response(None, status_code=304, headers=headers_of(etag))  # type: ignore[arg-type]
    shown = DocumentText(
        found.id,
        found.source,
        found.language,
        found.content_hash,
        list(found.pages),
        [list(heading) for heading in found.headings],
        dict(found.meta),
        found.text[first:last],
        first,
        last,
        len(found.text),
        len(found.pages),
        [DocumentName(id, source) for id, source in copies],
    )
    return Response(shown, headers=headers_of(etag))


@get(
    "/v1/corpora/{corpus:str}/documents/{document:str}/original",
    opt={FILTERED: True},
    tags=["documents"],
    summary="Download a document's file",
    response_headers=ETAG,
    responses=error_responses(404, 503) | A_FILE | NOT_MODIFIED,
)
async def get_original(corpus: str, document: str, service: Service, request: ApiRequest) -> File | Response[None]:
    """Download the original file of a document, as uploaded."""
    found = await service.run_blocking(_original, service, corpus, document, filter_of(request))
    kind, name = TYPES.get(found.path.suffix.lower(), ANY_TYPE), found.source.rpartition("/")[2]
    facts = found.path.stat()
    etag = etag_of(found.source, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    if is_current(request, etag):
        return Response(None, status_code=304, headers=headers_of(etag))
    headers = {"Content-Type": kind, "Content-Disposition": attachment(name), **headers_of(etag), **HARMLESS}
    return File(
        found.path,
        headers=headers,
        content_disposition_type="attachment",
    )


@get(
    "/v1/corpora/{corpus:str}/documents/{document:str}/pages/{page:int}",
    opt={FILTERED: True},
    tags=["documents"],
    summary="Render a page",
    responses=error_responses(404, 429, 503, 504),
)
async def get_page_image(
    corpus: str,
    document: str,
    page: int,
    service: Service,
    request: ApiRequest,
    start: Place = None,
    end: Place = None,
    scale: Annotated[float, Parameter(ge=0.1, le=4)] = 1.5,
) -> Page:
    """Render a page of a PDF, or a picture, with boxes around the part of start..end on it.

    `exact` is false if none can be drawn: the text was not found there, or the file has changed since.
    """

    def drawn() -> Page:
        with service.using(corpus) as opened:
            found = _document(opened.folder, document, filter_of(request))
        file = _original(service, corpus, document, filter_of(request))
        if found.source.startswith(f"{file.source}/"):
            raise DocumentMissing(
                f"{found.source} is inside {file.source}, so its pages cannot be shown; read its text instead."
            )
        if found.meta.get("file_type") not in DRAWN and file.path.suffix.lower() != ".pdf":
            raise DocumentMissing(
                f"{found.source} is no PDF and no picture, so it has no pages to show; read its text instead."
            )
        if not 1 <= page <= len(found.pages):
            raise DocumentMissing(f"{found.source} has {len(found.pages)} pages; there is no page {page}.")
        span = _span(found, start, end) if start is not None else None
        with service.using(corpus) as opened:
            words = words_of_page(opened.folder, found, page, file.source, file.path)
        return page_of_document(found, file.path, page, span, scale, words)

    return await service.reads.run(drawn)


ROUTES = (list_corpus_documents, get_document, get_original, get_page_image)


class Original(NamedTuple):
    """A file of a corpus, and the number of its documents."""

    corpus: Corpus
    source: str
    path: Path
    documents: int


def _document(folder: IndexFolder, document: str, allowed: Filter | None) -> Document:
    """The document. Raises DocumentMissing, also for one that a key's filter does not allow."""
    if allowed is not None and not visible(folder, [document], allowed):
        raise missing_document(document)
    return folder.document(document)


def _document_and_copies(
    service: Service, corpus: str, document: str, allowed: Filter | None
) -> tuple[Document, list[tuple[str, str]]]:
    """The document, and (id, source) of the other documents with its text that a key's filter allows, at most MOST_NAMED."""
    with service.using(corpus) as opened:
        found = _document(opened.folder, document, allowed)
        same = [copy for copy in documents_with_text(opened.folder, found.content_hash) if copy[0] != found.id]
        seen = {id for id, _ in same} if allowed is None else visible(opened.folder, [id for id, _ in same], allowed)
    return found, [copy for copy in same if copy[0] in seen][:MOST_NAMED]


def _original(service: Service, corpus: str, document: str, allowed: Filter | None = None) -> Original:
    """The file of a document. Raises DocumentMissing, also where a key's filter hides any document of the file."""
    with service.using(corpus) as opened:
        if allowed is not None and not whole_file_visible(opened.folder, document, allowed):
            raise missing_document(document)
        source, count = file_of(opened.folder, document)
        return Original(opened.corpus, source, service.home.original(opened.corpus, source), count)


def _span(document: Document, start: int | None, end: int | None) -> tuple[int, int]:
    length = len(document.text)
    first, last = 0 if start is None else start, length if end is None else end
    if not first <= last <= length:
        raise SettingError(f"start and end must lie in order between 0 and {length:,}, the length of the text.")
    return first, last
