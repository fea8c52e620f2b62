"""Routes of background jobs, and of question files, which a job answers."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Annotated, Any, Literal

from litestar import Request, Response, delete, get, post
from litestar.openapi.spec import Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import Parameter
from litestar.response import Stream

from indexing.errors import SettingError
from qa_pipeline.api.auth import WRITES
from qa_pipeline.api.files import A_FILE, HARMLESS, attachment, files_body
from qa_pipeline.api.multipart import UploadResult, upload
from qa_pipeline.api.paging import LINK, Cursor, page_of, paged
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import AcceptedJob, Job, to_schema
from qa_pipeline.errors import CorpusMissing, JobMissing
from qa_pipeline.service import job_store
from qa_pipeline.service.api_keys import Key
from qa_pipeline.service.job_handlers import write_result
from qa_pipeline.service.question_files import KINDS
from qa_pipeline.service.question_worker import parse_questions
from qa_pipeline.service.service import Service

ApiRequest = Request[Any, Any, Any]
Format = Literal["csv", "xlsx", "jsonl"]

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
IN_MEMORY = 1_000_000
PIECE = 65_536
MOST_JOBS = 1_000_000


@dataclass
class _QuestionsForm(Operation):
    """The OpenAPI operation of an upload of a question file."""

    def __post_init__(self) -> None:
        self.request_body = files_body("file", format=Schema(type=OpenAPIType.STRING, enum=list(KINDS)))


# -- jobs --------------------------------------------------------------------------------------------------------------


@get("/v1/jobs", tags=["jobs"], summary="List jobs", response_headers=LINK, responses=error_responses(503))
async def list_jobs(
    service: Service,
    request: ApiRequest,
    corpus: Annotated[str | None, Parameter(max_length=1_000)] = None,
    limit: Annotated[int, Parameter(ge=1, le=1_000)] = 100,
    cursor: Cursor = None,
) -> Response[list[Job]]:
    """List jobs of the corpora that the key may see, newest first, without their results."""
    found = await service.run_blocking(service.jobs.list, corpus, MOST_JOBS, results=False)
    seen = [job for job in found if _may_see(service, request.auth, job)]
    shown, after = page_of(seen, lambda job: (job.created, job.id), cursor, limit)
    return paged(request, to_schema(shown, list[Job]), after)


@get("/v1/jobs/{job:str}", tags=["jobs"], summary="Get a job", responses=error_responses(404, 503))
async def get_job(job: str, service: Service, request: ApiRequest) -> Job:
    """Get the state and progress of a job, and its result once it is done."""
    return to_schema(await service.run_blocking(_seen, service, request.auth, job), Job)


@delete(
    "/v1/jobs/{job:str}",
    status_code=200,
    opt={WRITES: True},
    tags=["jobs"],
    summary="Cancel a job",
    responses=error_responses(404, 503, 507),
)
async def cancel_job(job: str, service: Service, request: ApiRequest) -> Job:
    """Cancel a queued job at once, and a running one at its next step. A finished job stays unchanged."""
    await service.run_blocking(_seen, service, request.auth, job)
    return to_schema(await service.run_blocking(service.jobs.cancel, job), Job)


@get(
    "/v1/jobs/{job:str}/result",
    tags=["jobs"],
    summary="Download answers",
    responses=error_responses(404, 409, 503) | A_FILE,
)
async def get_job_result(job: str, service: Service, request: ApiRequest, format: Format | None = None) -> Stream:
    """Download the answers as a file. format: by default the one chosen with the questions."""
    found = await service.run_blocking(_seen, service, request.auth, job)
    kind = format or str(found.request.get("format", "csv"))
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    try:
        await service.run_blocking(write_result, service.home.uploads, found, kind, file)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Type": TYPES[kind], "Content-Disposition": attachment(f"answers-{found.id[:8]}.{kind}"), **HARMLESS}
    return Stream(_pieces(file), headers=headers)


# -- files of questions ------------------------------------------------------------------------------------------------


@post(
    "/v1/corpora/{corpus:str}/questions",
    status_code=202,
    request_max_body_size=None,
    opt={WRITES: True},
    tags=["jobs"],
    summary="Upload a question file",
    operation_class=_QuestionsForm,
    responses=error_responses(404, 408, 413, 429, 503, 507),
)
async def add_question_file(corpus: str, service: Service, request: ApiRequest) -> Response[AcceptedJob]:
    """Upload a question file (field `file`: CSV, XLSX, JSON or JSON lines). A job answers it.

    A file with a mistake in any row is refused as a whole. The field `format` chooses the format of the answers.
    """
    await service.run_blocking(service.home.corpus, corpus)
    async with upload(request, service.home.uploads, service.settings) as sent:
        asked = await service.run_blocking(_request, service, request.auth, corpus, sent)
        job = await service.run_blocking(service.ask_later, corpus, asked)
        sent.keep()
    return Response(to_schema({"job": job}, AcceptedJob), headers={"Location": f"/v1/jobs/{job.id}"})


ROUTES = (list_jobs, get_job, cancel_job, get_job_result, add_question_file)


def _seen(service: Service, key: Key | None, id: str) -> job_store.Job:
    """The job, if the key may see all that it is about. Raises JobMissing."""
    job = service.jobs.get(id)
    if not _may_see(service, key, job):
        raise JobMissing(f"There is no job {id[:80]!r}; list the jobs, or start it again.")
    return job


def _may_see(service: Service, key: Key | None, job: job_store.Job) -> bool:
    """Whether a key may see a job: its corpus, and every corpus that the questions of its file name."""
    return all(service.may_see(key, str(name)) for name in (job.corpus, *job.request.get("corpora", ())))


def _request(service: Service, key: Key | None, corpus: str, sent: UploadResult) -> dict[str, Any]:
    """The validated request of a question job. Raises SettingError, CorpusMissing."""
    kind = sent.fields.get("format", "csv")
    if kind not in KINDS:
        raise SettingError(f"The format is {kind[:80]!r}; answers are written as {', '.join(KINDS)}.")
    if len(sent.files) != 1:
        raise SettingError("Send one file of questions in the field `file`.")
    file = sent.files[0]
    if file.reason:
        raise SettingError(f"The file is refused: {file.reason}.")
    rows = parse_questions(file.path, file.name, service.settings.questions, corpus=corpus)
    wanted = sorted({row.corpus for row in rows})
    for name in wanted:
        if not service.may_see(key, name):
            raise CorpusMissing(f"There is no corpus {name!r}; create it first, or choose an existing one.")
        service.home.corpus(name)
    return {"folder": sent.folder.name, "name": file.name, "format": kind, "corpora": wanted, "total": len(rows)}


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        file.seek(0)
        for piece in iter(partial(file.read, PIECE), b""):
            yield piece
