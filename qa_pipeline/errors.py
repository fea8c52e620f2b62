"""Errors of answering and serving that a person can cause. `indexing.errors` has the base class and errors of indexing.

    DocqaError
    ├── HomeFolderError       the home folder of a service
    │   ├── HomeMissing       the folder is no home folder
    │   ├── CorpusMissing     no corpus has that name
    │   ├── CorpusExists      a corpus has that name already
    │   ├── EvaluationMissing no evaluation has that name, or it has no such plot
    │   └── EvaluationDamaged the results of an evaluation cannot be read
    ├── JobMissing            no job has that id
    ├── JobCancelled          a job was cancelled and stops
    ├── JobNotDone            a job has no result yet, or will have none
    ├── TooBusy               the queue is full; retry later
    ├── ClientGone            the client of a request has gone; its work stops
    ├── OutOfTime             a request took longer than it may
    ├── TooSlow               a client sends its request too slowly
    ├── TooLarge              the request or file exceeds a size limit
    ├── NotAllowed            the caller has no right to do that
    │   └── KeyNeeded         the key is missing or unknown
    ├── PipelineFailed        a node of the operator's Haystack pipeline raised an error
    └── BrokenCitation        an answer is not the text at its offsets: a defect of docqa; the answer is never sent

Each message is one sentence that says what is wrong and what to do next.
"""

from __future__ import annotations

from indexing.errors import DocqaError


class HomeFolderError(DocqaError):
    """An error of the home folder of a service."""


class HomeMissing(HomeFolderError):
    """The folder is no home folder."""


class CorpusMissing(HomeFolderError):
    """No corpus in the home folder has that name."""


class CorpusExists(HomeFolderError):
    """A corpus in the home folder has that name already."""


class EvaluationMissing(HomeFolderError):
    """No evaluation in the home folder has that name, or it has no such plot."""


class EvaluationDamaged(HomeFolderError):
    """The results of an evaluation are not what `docqa evaluate` writes, or cannot be read."""


class JobMissing(DocqaError):
    """No job has that id."""


class JobCancelled(DocqaError):
    """A job was cancelled; raised inside the job at its next progress report."""


class JobNotDone(DocqaError):
    """The job has no result yet, or will have none."""


class TooBusy(DocqaError):
    """The queue is full. retry_after: seconds to wait before the next attempt."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientGone(DocqaError):
    """The client of a request has gone, so nobody waits for its work."""


class OutOfTime(DocqaError):
    """A request took longer than its deadline."""


class TooSlow(DocqaError):
    """A client sends the body of its request too slowly."""


class TooLarge(DocqaError):
    """The request or file exceeds a size limit."""


class NotAllowed(DocqaError):
    """The caller has no right to do that."""


class KeyNeeded(NotAllowed):
    """The API key is missing or unknown."""


class PipelineFailed(DocqaError):
    """A Haystack pipeline failed, in a node that is not docqa's or by its form. The message names the node."""


class BrokenCitation(DocqaError):
    """An answer's text is not the document's text at its offsets."""
