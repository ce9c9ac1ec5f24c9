"""What can go wrong, in sentences a user can act on.

Every error a user can meet derives from :class:`BeamsideError`: what happened (``summary``), what the
machine said (``detail``, shown on request) and what to do next (``remedy``). ``kind`` names it for scripts;
``exit_code`` is the command line's (docs/cli.md). No Qt, no I/O; every layer may raise these.

::

    BeamsideError                 1  internal
    ├── UsageError                2  usage
    ├── DataError                 3  data
    │   ├── NotFoundError            not_found        the file, folder or node is not there
    │   ├── PermissionError_         permission
    │   ├── NotHdf5Error             not_hdf5         the file is of another or of no known kind
    │   ├── DamagedFileError         damaged          truncated, corrupt, or left open by its writer
    │   ├── UnreadableError          unreadable       one node cannot be read (filter missing, source missing …)
    │   ├── SelectionError           selection        the selection does not fit the data
    │   ├── WorkerLostError          worker_lost      the HDF5 library crashed or hung on this file
    │   └── StorageFullError         storage_full     no space or quota left where something was to be written
    ├── LinkError                 4  connection
    │   ├── UnreachableError         unreachable      name, TCP or banner
    │   ├── HostKeyUnknownError      host_key_unknown carries the fingerprint
    │   ├── HostKeyChangedError      host_key_changed refused, no way round
    │   ├── LinkLostError            link_lost        was connected, is not
    │   └── AgentError               agent            no usable Python, upload failed, agent did not answer
    ├── SignInError               5  sign_in
    │   ├── SignInNeededError        sign_in_needed
    │   ├── CodeExpiredError         code_expired
    │   ├── SignInRefusedError       sign_in_refused
    │   ├── ProviderError            provider         the OpenID provider is wrong, down or not trusted
    │   └── LoginRefusedError        login_refused    the SSH server did not let us in
    ├── BatchError                6  batch
    │   ├── SubmissionRefusedError   submission_refused
    │   ├── SchedulerUnavailableError scheduler_unavailable
    │   ├── UnknownJobError          unknown_job
    │   └── RecipeError              recipe           parameters do not fit, environment missing
    └── CancelledByUserError    130  cancelled
"""

from __future__ import annotations


class BeamsideError(Exception):
    """Something a user can meet; the base is used itself only for bugs."""

    kind = "internal"
    exit_code = 1

    def __init__(self, summary: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.remedy = remedy

    def as_json(self) -> dict[str, str]:
        """The object the command line prints under ``error``."""
        return {"kind": self.kind, "summary": self.summary, "detail": self.detail, "remedy": self.remedy}


class UsageError(BeamsideError):
    kind, exit_code = "usage", 2


class DataError(BeamsideError):
    kind, exit_code = "data", 3


class NotFoundError(DataError):
    kind = "not_found"


class PermissionError_(DataError):
    kind = "permission"


class NotHdf5Error(DataError):
    kind = "not_hdf5"


class DamagedFileError(DataError):
    kind = "damaged"


class UnreadableError(DataError):
    kind = "unreadable"


class SelectionError(DataError):
    kind = "selection"


class WorkerLostError(DataError):
    kind = "worker_lost"


class StorageFullError(DataError):
    kind = "storage_full"


class LinkError(BeamsideError):
    kind, exit_code = "connection", 4


class UnreachableError(LinkError):
    kind = "unreachable"


class HostKeyUnknownError(LinkError):
    """The server's key is in no list; ``fingerprint`` is what ``--accept-host-key`` takes."""

    kind = "host_key_unknown"

    def __init__(self, summary: str, detail: str = "", remedy: str = "", *, host: str = "", key_line: str = "",
                 fingerprint: str = "") -> None:
        super().__init__(summary, detail, remedy)
        self.host = host
        self.key_line = key_line
        self.fingerprint = fingerprint


class HostKeyChangedError(LinkError):
    kind = "host_key_changed"


class LinkLostError(LinkError):
    kind = "link_lost"


class AgentError(LinkError):
    kind = "agent"


class SignInError(BeamsideError):
    kind, exit_code = "sign_in", 5


class SignInNeededError(SignInError):
    kind = "sign_in_needed"


class CodeExpiredError(SignInError):
    kind = "code_expired"


class SignInRefusedError(SignInError):
    kind = "sign_in_refused"


class ProviderError(SignInError):
    kind = "provider"


class LoginRefusedError(SignInError):
    kind = "login_refused"


class BatchError(BeamsideError):
    kind, exit_code = "batch", 6


class SubmissionRefusedError(BatchError):
    kind = "submission_refused"


class SchedulerUnavailableError(BatchError):
    kind = "scheduler_unavailable"


class UnknownJobError(BatchError):
    kind = "unknown_job"


class RecipeError(BatchError):
    kind = "recipe"


class CancelledByUserError(BeamsideError):
    kind, exit_code = "cancelled", 130


_BY_KIND: dict[str, type[BeamsideError]] = {}


def _index(cls: type[BeamsideError]) -> None:
    _BY_KIND[cls.kind] = cls
    for child in cls.__subclasses__():
        _index(child)


_index(BeamsideError)


def error_of_kind(kind: str, summary: str, detail: str = "", remedy: str = "") -> BeamsideError:
    """The error a remote ``kind`` stands for; an unknown kind becomes a :class:`DataError`."""
    return _BY_KIND.get(kind, DataError)(summary, detail, remedy)
