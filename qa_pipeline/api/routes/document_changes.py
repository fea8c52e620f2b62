"""Routes that change documents: upload and delete."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, delete, post
from litestar.openapi.spec import Operation
from litestar.params import Parameter

from indexing.errors import DocumentMissing, SettingError
from indexing.store.listing import file_of
from qa_pipeline.api.auth import WRITES
from qa_pipeline.api.files import files_body
from qa_pipeline.api.multipart import SentFile, UploadResult, oversized, upload
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import AcceptedJob, UploadReceipt, to_schema
from qa_pipeline.service.home import Corpus
from qa_pipeline.service.service import Service
from qa_pipeline.service.zip_archives import PutReport, UploadLimits, folded_name, same_name


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
async def add_documents(corpus: str, service: Service, request: Request[Any, Any, Any]) -> Response[UploadReceipt]:
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
    most = service.settings.file_bytes
    if reason := file.reason or (oversized(file.size, most) if file.size > most else ""):  # Named .zip, and is none.
        return PutReport(file.name, "", "refused", reason)
    try:
        folded = folded_name(file.name)
        if folded in taken:
            return PutReport(file.name, "", "refused", same_name(taken[folded]))
        source = service.home.put(corpus, file.name, file.path)
        taken[folded] = file.name
        return PutReport(file.name, source, "stored")
    except SettingError as error:
        return PutReport(file.name, "", "refused", str(error))


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


class _File(NamedTuple):
    """A file to delete, and the number of its documents."""

    corpus: Corpus
    source: str
    documents: int


def _deleted(service: Service, corpus: str, document: str) -> _File:
    """The file of a document to delete; also one whose deletion failed after its file was gone."""
    with service.using(corpus) as opened:
        source, count = file_of(opened.folder, document)
        return _File(opened.corpus, source, count)


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


ROUTES = (add_documents, delete_document, delete_file)
