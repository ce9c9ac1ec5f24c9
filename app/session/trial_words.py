"""What is said of a trial: a sentence, and what to do about it. Pure; any thread."""

from __future__ import annotations

from app.errors import BeamsideError
from app.model.text import visible
from app.session.site_link import SiteState

Words = tuple[str, str]

SUBMITTING: Words = ("The trial job is being submitted.", "")
STOPPED: Words = ("The trial job was ended.", "Press Try to start another one.")
NO_SITE: Words = ("The connection to the site is closed.", "Connect again and press Try.")
WITHOUT_LINK: Words = ("The connection is lost; the trial goes on without it.",
                       "It is taken up again when the connection is back.")
GOES_ON = "Change the parameters or press Try: the next question starts another trial job."


def computing(site: SiteState, *, asks_again: bool) -> Words:
    """Of a question that was asked; ``asks_again``: it will be, as its link was lost."""
    if not site.is_held:
        return ("The connection is closed; the trial goes on without it.",
                "Connect again: the question is asked again then.")
    if site is SiteState.LOST or asks_again:
        return "The connection is being restored; the question is asked again.", ""
    return "Computing…", ""


def failure(error: BaseException) -> Words:
    """Of an error that ended something."""
    if isinstance(error, BeamsideError):
        return visible(error.summary), visible(error.remedy)
    return "Something unexpected happened inside Beamside.", "Try again; the log has the details."
