"""How a command speaks: the result on standard output, everything else on standard error (docs/cli.md)."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from typing import Any

from app.errors import BeamsideError


class Output:
    """One command's voice. With ``as_json`` the result is exactly one JSON object, events are JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._result_printed = False

    def result(self, value: dict[str, Any], text: str) -> None:
        """Print the result: ``value`` with ``--json``, else ``text``."""
        self._result_printed = True
        if self.as_json:
            print(json.dumps(jsonable(value), allow_nan=False), flush=True)
        elif text:
            print(visible(text, keep="\n\t"), flush=True)

    def say(self, text: str) -> None:
        """Progress: one sentence."""
        self.event("progress", {"text": text}, text)

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        """Something the caller must know while the command runs, e.g. a device code."""
        if self.as_json:
            print(json.dumps({"event": name, **jsonable(fields)}), file=sys.stderr, flush=True)
        else:
            print(visible(text, keep="\n"), file=sys.stderr, flush=True)

    def error(self, error: BeamsideError) -> None:
        """The error, one line each for what happened and what to do."""
        if self.as_json:   # what goes wrong after the result does not become a second object on standard output
            print(json.dumps({"error": jsonable(error.as_json())}), flush=True,
                  file=sys.stderr if self._result_printed else sys.stdout)
            return
        for line in (error.summary, error.remedy):
            if line:
                print(visible(line), file=sys.stderr, flush=True)


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
