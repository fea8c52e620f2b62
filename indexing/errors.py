"""Error classes of indexing. Each message says what is wrong and what to do next.

    DocqaError
    ├── SettingError          a setting or an argument has a value that cannot be used
    ├── UnreadableFile        one file cannot be read; the run goes on, the report names it
    │   └── RefusedFile       the operating system refuses it; the next run tries again
    ├── IndexFolderError      the index folder as a whole
    │   ├── IndexMissing      there is no index in that folder
    │   ├── IndexBusy         another process is writing to it
    │   ├── IndexMismatch     it was made with other settings, or by a newer docqa
    │   ├── IndexDamaged      its files are unreadable or inconsistent
    │   └── DiskFull          its disk has no space left
    ├── DocumentMissing       no document has that id
    ├── FilterError           a filter that cannot be honoured
    └── ModelError            a model
        ├── ModelMissing      is not on this machine and cannot be fetched
        └── ModelRefused      would run code, or unpickle objects, to load

Each message is one sentence. The classes know nothing of HTTP or exit codes: the command line and the API each map a
class to a status.
"""

import errno

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class DocqaError(Exception):
    """Base class of all errors that are shown to a person, as one sentence."""


class SettingError(DocqaError):
    """A setting or an argument has a value that cannot be used."""


class UnreadableFile(DocqaError):
    """One file cannot be read; `str(error)` is the reason shown in the report."""


class RefusedFile(UnreadableFile):
    """The operating system refuses one file: its rights, or a disk that fails. The next run tries again."""


class IndexFolderError(DocqaError):
    """Base class of errors about the index folder as a whole."""


class IndexMissing(IndexFolderError):
    """There is no index in that folder."""


class IndexBusy(IndexFolderError):
    """Another process holds the folder's writer lock."""


class IndexMismatch(IndexFolderError):
    """The index was made with other settings than requested, or by a newer docqa."""


class IndexDamaged(IndexFolderError):
    """The files of the index are unreadable or inconsistent."""


class DiskFull(IndexFolderError):
    """The disk has no space left; what was acknowledged before is kept."""


class DocumentMissing(DocqaError):
    """No document has that id."""


class FilterError(DocqaError):
    """A filter cannot be honoured; it is never ignored silently."""


class ModelError(DocqaError):
    """Base class of errors about a model."""


class ModelMissing(ModelError):
    """The model is not on this machine and cannot be fetched."""


class ModelRefused(ModelError):
    """Loading the model would run its code or unpickle its objects."""


def one_line(error: BaseException, most: int = 200) -> str:
    """An error's message on one line of at most `most` characters, or its class name if it has no message.

    >>> one_line(ValueError("bad\\n  file")), one_line(KeyError())
    ('bad file', 'KeyError')
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


def os_reason(error: OSError) -> str:
    """The operating system's reason for an error, without local paths and error numbers.

    >>> os_reason(PermissionError(13, "Permission denied", "/home/me/file"))
    'permission denied'
    """
    return (error.strerror or type(error).__name__).lower()
