"""What is said of an environment whose line in the site's profile failed: by a job of itself, and by the catalogue.

Pure; no I/O.
"""

from __future__ import annotations

from app.model.text import visible

_LONGEST = 160


def line_words(environment: str, line: str) -> str:
    """How such a sentence begins, on one line whatever the profile's line holds; what the line did comes behind it."""
    told = visible(" ".join(line.split()))
    told = told if len(told) <= _LONGEST else told[:_LONGEST - 1].rstrip() + "…"
    return f"The environment “{visible(environment)}” could not be set up: its line “{told}”"


def not_set_up(environment: str, line: str, code: int) -> str:
    """The whole sentence. ``code``: what the line ended with; 0: it ended the shell instead of coming to its end."""
    did = f"ended with exit code {code}" if code else "ended the shell"
    return f"{line_words(environment, line)} {did}."
