"""What may be written into a script's header or an argument list, and how much of it. Pure: no I/O, any thread.

Every text that a dialect writes passes here first. Nothing is quoted or repaired: a value is either one that needs
no quoting anywhere, or it is refused in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import SubmissionRefusedError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\.sh")
_USER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+\\$-]{0,126}[A-Za-z0-9_$])?")
_ID = re.compile(r"[1-9][0-9]{0,17}")
_MOST_IDS = 5000


def checked_name(text: str, what: str) -> str:
    """``text`` if it can be the ``what`` of a job as it is.

    Raises:
        SubmissionRefusedError: it cannot.
    """
    return _checked(_NAME, text, what, "Letters, digits, dot, dash and underscore, at most 64.")


def checked_queue(text: str, what: str) -> str:
    """As :func:`checked_name` for names that a facility gave: partitions, queues, accounts, projects, resources."""
    return _checked(_QUEUE, text, what, "Choose one that the site offers.")


def checked_script(text: str) -> str:
    """``text`` if it names a script in the job's folder.

    Raises:
        ValueError: it does not; scripts are named by the program.
    """
    if not isinstance(text, str) or not _SCRIPT.fullmatch(text):
        raise ValueError(f"not a job script: {shown(text)}")
    return text


def checked_user(text: str) -> str:
    """``text`` if it can be a user's name at the site.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(text, str) or not _USER.fullmatch(text):
        raise ValueError(f"not a user name: {shown(text)}")
    return text


def checked_ids(ids: Sequence[str]) -> list[str]:
    """``ids`` if each is a whole job's or array's, and there is at least one.

    Raises:
        ValueError: there is none, or one that is no id.
    """
    return _checked_all(ids, _ID, "job id")


def checked_names(names: Sequence[str]) -> list[str]:
    """``names`` if each is a job's name and there is at least one.

    Raises:
        ValueError: there is none, or one that is no name.
    """
    return _checked_all(names, _NAME, "job name")


def positive(value: int, what: str, most: int = 10_000_000) -> int:
    """``value`` if it is a whole number from 1 to ``most``.

    Raises:
        SubmissionRefusedError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SubmissionRefusedError(f"The {what} cannot be {shown(value, quotes=False)}.",
                                     remedy=f"A whole number from 1 to {most} is needed.")
    return value


def is_id(text: str) -> bool:
    """Whether ``text`` is the id of a whole job or array."""
    return bool(_ID.fullmatch(text))


def shown(value: object, *, quotes: bool = True) -> str:
    """``value`` for a sentence: one line, not too long, nothing that a terminal would obey."""
    text = "".join(c if c.isprintable() else "�" for c in str(value))
    text = text if len(text) <= 60 else f"{text[:59]}…"
    return f"“{text}”" if quotes else text


def _checked(pattern: re.Pattern[str], text: str, what: str, remedy: str) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise SubmissionRefusedError(f"{shown(text)} cannot be the {what} of a job.", remedy=remedy)
    return text


def _checked_all(texts: Sequence[str], pattern: re.Pattern[str], what: str) -> list[str]:
    if isinstance(texts, str) or not texts or len(texts) > _MOST_IDS:
        raise ValueError(f"not a list of 1 to {_MOST_IDS} {what}s")
    for each in texts:
        if not isinstance(each, str) or not pattern.fullmatch(each):
            raise ValueError(f"not a {what}: {shown(each)}")
    return list(texts)
