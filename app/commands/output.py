"""How a command speaks: the result on standard output, everything else on standard error (docs/cli.md)."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import sys
import unicodedata
from typing import Any, TextIO

from app.errors import BeamsideError, DataError, StorageFullError


class Output:
    """One command's voice. With ``as_json`` the result is exactly one JSON object, events are JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._result_printed = False

    def result(self, value: dict[str, Any], text: str) -> None:
        """Print the result: ``value`` with ``--json``, else ``text``."""
        self._result_printed = True
        if self.as_json:
            _print_result(json.dumps(jsonable(value), allow_nan=False))
        elif text:
            _print_result(visible(text, keep="\n\t"))

    def say(self, text: str) -> None:
        """Progress: one sentence."""
        self.event("progress", {"text": text}, text)

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        """Something the caller must know while the command runs, e.g. a device code."""
        if self.as_json:
            _print(json.dumps({"event": name, **jsonable(fields)}), sys.stderr)
        else:
            _print(visible(text, keep="\n"), sys.stderr)

    def error(self, error: BeamsideError) -> None:
        """The error, one line each for what happened and what to do."""
        if self.as_json:   # what goes wrong after the result does not become a second object on standard output
            _print(json.dumps({"error": jsonable(error.as_json())}),
                   sys.stderr if self._result_printed else sys.stdout)
            return
        for line in (error.summary, error.remedy):
            if line:
                _print(visible(line), sys.stderr)


def _print_result(text: str) -> None:
    try:
        _print(text, sys.stdout)
    except BrokenPipeError:   # whoever read it has seen enough
        raise
    except OSError as error:
        leave_standard_output()
        kind = StorageFullError if error.errno == errno.ENOSPC else DataError
        raise kind(f"The result cannot be written to standard output: {error.strerror or error}.",
                   remedy="Send it somewhere with space.") from None


def _print(text: str, stream: TextIO | None) -> None:
    if stream is not None:   # closed by whoever started us; print() would take standard output instead
        print(text, file=stream, flush=True)


def leave_standard_output() -> None:
    """Let what cannot be written go nowhere, so that it is not tried again at the end of the program."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def escape_what_the_terminal_has_not() -> None:
    """Characters that the terminal's encoding lacks are printed escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def jsonable(value: Any) -> Any:
    """``value`` with NaN and infinities as texts and tuples as lists, as docs/cli.md wants numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    return value


def visible(text: str, keep: str = "") -> str:
    """``text`` safe for a terminal: control, bidirectional and undecodable characters are shown escaped."""
    return "".join(c if c in keep or not _hidden(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def size_text(size: int | None) -> str:
    """A size in bytes for people: ``4.9 MB``."""
    if size is None:
        return ""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
