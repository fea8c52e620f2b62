"""Routes of documents: upload, list, text, original file, page image, delete."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, delete, get, post
from litestar.openapi.spec import Operation
from litestar.params import Parameter
from litestar.response import File

from indexing.documents import Document
from indexing.errors import DocumentMissing, SettingError
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
from qa_pipeline.api.auth import FILTERED, WRITES, filter_of
from qa_pipeline.api.etags import ETAG, NOT_MODIFIED, etag_of, headers_of, is_current
from qa_pipeline.api.files import A_FILE, ANY_TYPE, HARMLESS, attachment, files_body
from qa_pipeline.api.multipart import SentFile, UploadResult, upload
from qa_pipeline.api.page_images import DRAWN, page_of_document, words_of_page
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import AcceptedJob, DocumentText, Page, UploadReceipt, to_schema
from qa_pipeline.service.home import Corpus
from qa_pipeline.service.service import Service
from qa_pipeline.service.zip_archives import PutReport, UploadLimits, folded_name, same_name

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


@dataclass
class _FilesForm(Operation):
    """The OpenAPI operation of an upload; the handler parses the body itself."""

    def __post_init__(self) -> None:
        self.request_body = files_body("files")


# -- upload ------------------------------------------------------------------------------------------------------------


@post(
    "/v1/corpora/{corpus:str}/documents",
    status_code=202,
    opt={WRITES: True},
    request_max_body_size=None,
    tags=["documents"],
    summary="Upload files",
    operation_class=_FilesForm,
    responses=error_responses(404, 408, 409, 413, 503, 507),
)
async def add_documents(corpus: str, service: Service, request: ApiRequest) -> Response[UploadReceipt]:
    """Upload files (field `files`, one or many; a .zip is unpacked). A job indexes them.

    A file of the same name is replaced. Of two files of one upload that would have the same name, the second is refused. The
    receipt marks each file as stored or refused. The job's result reports how each stored file was indexed.
    """
    into = await service.run_blocking(service.home.corpus, corpus)
    async with upload(request, service.home.uploads, service.settings) as sent:
        if not sent.files:
            raise SettingError("The upload holds no file; send files in the field `files`.")
        files = await service.run_blocking(_store, service, into, sent)
    stored = [file.source for file in files if file.status == "stored"]
    job = await service.run_blocking(service.index_later, into, stored) if stored else None
    receipt = to_schema({"job": job, "files": files}, UploadReceipt)
    return Response(receipt, headers=_location(job.id) if job else {})


def _store(service: Service, corpus: Corpus, sent: UploadResult) -> list[PutReport]:
    """Store every file of an upload in its corpus; refused files have a reason."""
    reports: list[PutReport] = []
    taken: dict[str, str] = {}
    limits = UploadLimits(
        file_bytes=service.settings.file_bytes,
        total_bytes=service.settings.upload_bytes,
        members=service.settings.upload_files,
    )
    for file in sent.files:
        if not file.reason and file.name.lower().endswith(".zip") and zipfile.is_zipfile(file.path):
            reports += service.home.put_zip(corpus, file.path, limits, name=file.name, taken=taken)
        else:
            reports.append(_put(service, corpus, file, taken))
    return reports


def _put(service: Service, corpus: Corpus, file: SentFile, taken: dict[str, str]) -> PutReport:
    if file.reason:
        return PutReport(file.name, "", "refused", file.reason)
    try:
        folded = folded_name(file.name)
        if folded in taken:
            return PutReport(file.name, "", "refused", same_name(taken[folded]))
        source = service.home.put(corpus, file.name, file.path)
        taken[folded] = file.name
        return PutReport(file.name, source, "stored")
    except SettingError as error:
        return PutReport(file.name, "", "refused", str(error))


# -- read --------------------------------------------------------------------------------------------------------------


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
    found = await service.run_blocking(_document, service, corpus, document, filter_of(request))
    first, last = _span(found, start, end)
    etag = etag_of(found.id, found.source, found.content_hash, found.language, found.pages, found.meta, first, last)
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
        found = _document(service, corpus, document, filter_of(request))
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


# -- delete ------------------------------------------------------------------------------------------------------------


@delete(
    "/v1/corpora/{corpus:str}/documents/{document:str}",
    status_code=202,
    opt={WRITES: True},
    tags=["documents"],
    summary="Delete a document",
    responses=error_responses(404, 409, 503, 507),
)
async def delete_document(
    corpus: str,
    document: str,
    service: Service,
    whole_file: Annotated[
        bool, Parameter(description="Also if its file holds other documents; they are deleted too.")
    ] = False,
) -> Response[AcceptedJob]:
    """Delete the file of a document; a job removes it from the index."""
    found = await service.run_blocking(_deleted, service, corpus, document)
    if found.documents > 1 and not whole_file:
        raise SettingError(
            f"{found.source} holds {found.documents:,} documents, all deleted with it; set whole_file=true to confirm."
        )
    return await service.run_blocking(_remove, service, found.corpus, [found.source])


@delete(
    "/v1/corpora/{corpus:str}/files",
    status_code=202,
    opt={WRITES: True},
    tags=["documents"],
    summary="Delete files",
    responses=error_responses(404, 409, 503, 507),
)
async def delete_file(
    corpus: str, service: Service, source: Annotated[list[str], Parameter(min_items=1, max_items=1_000)]
) -> Response[AcceptedJob]:
    """Delete files, also unreadable ones without a document; one job removes them from the index.

    Of several files, those that are gone already are passed over. It is an error if all are.
    """
    into = await service.run_blocking(service.home.corpus, corpus)
    return await service.run_blocking(_remove, service, into, list(dict.fromkeys(source)))


ROUTES = (add_documents, list_corpus_documents, get_document, get_original, get_page_image, delete_document, delete_file)


class Original(NamedTuple):
    """A file of a corpus, and the number of its documents."""

    corpus: Corpus
    source: str
    path: Path
    documents: int


def _document(service: Service, corpus: str, document: str, allowed: Filter | None = None) -> Document:
    """The document. Raises DocumentMissing, also for one that a key's filter does not allow."""
    with service.using(corpus) as opened:
        if allowed is not None and not visible(opened.folder, [document], allowed):
            raise missing_document(document)
        return opened.folder.document(document)


def _original(service: Service, corpus: str, document: str, allowed: Filter | None = None) -> Original:
    """The file of a document. Raises DocumentMissing, also where a key's filter hides any document of the file."""
    with service.using(corpus) as opened:
        if allowed is not None and not whole_file_visible(opened.folder, document, allowed):
            raise missing_document(document)
        source, count = file_of(opened.folder, document)
        return Original(opened.corpus, source, service.home.original(opened.corpus, source), count)


def _deleted(service: Service, corpus: str, document: str) -> Original:
    """The file of a document to delete; also one whose deletion failed after its file was gone."""
    with service.using(corpus) as opened:
        source, count = file_of(opened.folder, document)
        return Original(opened.corpus, source, Path(), count)


def _remove(service: Service, corpus: Corpus, files: list[str]) -> Response[AcceptedJob]:
    """Delete files, and queue the job that removes them from the index, also if one fails after others were deleted.

    Raises DocumentMissing if no file is there, HomeFolderError.
    """
    removed: list[str] = []
    missing: DocumentMissing | None = None
    try:
        for file in files:
            try:
                service.home.remove(corpus, file)
            except DocumentMissing as error:
                with service.using(corpus.name) as opened:
                    if file not in opened.folder.file_records():
                        missing = error
                        continue
            removed.append(file)
    finally:
        job = service.index_later(corpus, removed) if removed else None
    if job is None:
        assert missing is not None
        raise missing
    return Response(to_schema({"job": job}, AcceptedJob), headers=_location(job.id))


def _location(job: str) -> dict[str, str]:
    return {"Location": f"/v1/jobs/{job}"}


def _span(document: Document, start: int | None, end: int | None) -> tuple[int, int]:
    length = len(document.text)
    first, last = 0 if start is None else start, length if end is None else end
    if not first <= last <= length:
        raise SettingError(f"start and end must lie in order between 0 and {length:,}, the length of the text.")
    return first, last
