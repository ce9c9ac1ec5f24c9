"""What can be chosen when the demo facility starts. Frozen values; one sentence per fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from app.errors import UsageError

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Options:
    """Everything ``--option key=value`` can set.

    Attributes:
        pathless: the issuer is ``https://host:port`` without a path, as eduTEAMS proxies are.
        code_lifetime_s: how long a device code can be approved.
        access_lifetime_s: lifetime of access and ID tokens.
        refresh_lifetime_s: lifetime of a refresh token.
        certificate_lifetime_s: lifetime of an SSH user certificate.
        interval_s: how often a client may ask whether the code was approved.
        data: ``full`` or ``small`` (a few small files, made in a second).
        slots: CPUs of the demo node.
        memory_mb: memory of the demo node.
        jobs: whether jobs run; without, the partitions are shown down with the reason.
        minute_s: how long the batch system's minute lasts (time limits in tests).
        min_job_age_s: how long ``squeue`` still knows a job that ended.
        accounting: whether ``sacct`` answers.
        poll_s: the poll interval written into the site profile.
        gateway: the SSH server is reached through a gateway that wants a session held open.
    """

    pathless: bool = False
    code_lifetime_s: float = 600
    access_lifetime_s: float = 600
    refresh_lifetime_s: float = 30 * 86400
    certificate_lifetime_s: float = 3600
    interval_s: float = 1
    data: str = "full"
    slots: int = max(4, os.cpu_count() or 1)
    memory_mb: int = 8192
    jobs: bool = sys.platform != "win32"
    minute_s: float = 60
    min_job_age_s: float = 300
    accounting: bool = True
    poll_s: float = 2
    gateway: bool = False

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Options:
        """Read ``key=value`` texts.

        Raises:
            UsageError: a key or a value is not known.
        """
        changes: dict[str, Any] = {}
        defaults = cls()
        names = [f.name for f in fields(cls)]
        for pair in pairs:
            key, sep, text = pair.partition("=")
            key = key.strip().replace("-", "_")
            if not sep or key not in names:
                raise UsageError(f"The demo facility has no option “{pair}”.",
                                 remedy="Write --option key=value with one of: " + ", ".join(names) + ".")
            changes[key] = _value(key, text.strip(), getattr(defaults, key))
        return replace(defaults, **changes)


def _value(key: str, text: str, default: object) -> object:
    if key == "data":
        if text not in ("full", "small"):
            raise UsageError(f"“{text}” is not a kind of demo data.", remedy="Use data=full or data=small.")
        return text
    if isinstance(default, bool):
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise UsageError(f"“{text}” is neither true nor false (option {key}).")
    try:
        number = int(text) if isinstance(default, int) else float(text)
    except ValueError:
        raise UsageError(f"“{text}” is not a number (option {key}).") from None
    if not number > 0 or number != number or number == float("inf"):
        raise UsageError(f"Option {key} must be a number above zero.")
    return number
