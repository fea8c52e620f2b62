"""Errors of answering and serving that a person can cause. The base class, and errors of indexing, are in the other package.

    DocqaError
    ├── HomeFolderError       the home folder of a service as a whole
    │   ├── HomeMissing       there is no home in that folder
    │   ├── CorpusMissing     it has no corpus of that name
    │   ├── CorpusExists      it has a corpus of that name already
    │   ├── EvaluationMissing it has no evaluation of that name, or that one no such plot
    │   └── EvaluationDamaged the results of an evaluation cannot be read
    ├── JobMissing            no job has that id
    ├── JobCancelled          a job was asked to stop, and stops
    ├── JobNotDone            a job's result is asked for before there is one
    ├── TooBusy               more is asked at once than can be answered; ask again later
    ├── TooLarge              what was sent is larger than is taken
    ├── NotAllowed            whoever asks may not do that
    │   └── KeyNeeded         no key was given, or one that is not known
    └── BrokenCitation        an answer is not the text at its offsets: a defect of ours, never sent

Each message is one sentence that says what is wrong and what to do next.
"""

from __future__ import annotations

from indexing.errors import DocqaError


class HomeFolderError(DocqaError):
    """Something about the home folder of a service as a whole."""


class HomeMissing(HomeFolderError):
    """There is no home in that folder."""


class CorpusMissing(HomeFolderError):
    """The home folder has no corpus of that name."""


class CorpusExists(HomeFolderError):
    """The home folder has a corpus of that name already."""


class EvaluationMissing(HomeFolderError):
    """The home folder has no evaluation of that name, or the evaluation has no such plot."""


class EvaluationDamaged(HomeFolderError):
    """The results of an evaluation are not what `docqa evaluate` writes, or cannot be read."""


class JobMissing(DocqaError):
    """No job has that id."""


class JobCancelled(DocqaError):
    """A job was asked to stop; raised inside its work, at its next step."""


class JobNotDone(DocqaError):
    """A job's result is asked for before there is one, or there will be none."""


class TooBusy(DocqaError):
    """More is asked at once than can be answered. retry_after: seconds until it is worth asking again."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(DocqaError):
    """What was sent is larger than is taken."""


class NotAllowed(DocqaError):
    """Whoever asks may not do that."""


class KeyNeeded(NotAllowed):
    """No key was given, or one that is not known."""


class BrokenCitation(DocqaError):
    """An answer's text is not the document's text at its offsets."""
