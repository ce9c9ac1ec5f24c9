"""The report of an examination: the sentence for support, the text that is copied, the object for scripts. Pure.

Everything that leaves here is redacted; what the window shows as the report is what is copied, to the letter.
"""

from __future__ import annotations

import platform
import time
from importlib import metadata
from typing import Any

from app import __version__
from app.errors import BeamsideError, error_of_kind
from app.model.doctor import ProfileFact, Report, Step, StepState
from app.model.site import SiteProfile
from app.model.site_facts import facts_of
from app.remote.doctor.redaction import redacted

MARKS = {StepState.PASSED: "✓", StepState.WARNED: "!", StepState.FAILED: "✗", StepState.SKIPPED: "–",
         StepState.WAITING: "·", StepState.RUNNING: "…"}
_PACKAGES = ("paramiko", "cryptography", "requests", "msal", "numpy", "h5py", "PySide6")


def make_report(profile: SiteProfile, steps: tuple[Step, ...], when: float, complete: bool = True) -> Report:
    """What an examination of this site came to."""
    report = Report(profile.name, redacted(profile.label), profile.contact, steps, "", when, __version__, versions(),
                    tuple(ProfileFact(fact.key, redacted(fact.value), redacted(fact.source))
                          for fact in facts_of(profile) if fact.state not in ("default", "unknown")), complete)
    failed = report.failed
    return Report(**{**vars(report), "sentence": failed.tell if failed is not None else ""})


def sentence_of(profile: SiteProfile, step: Step, when: float) -> str:
    """What to send to support about a step that failed: one sentence with what failed, where and when."""
    user = f" as user “{profile.ssh.user}”" if profile.ssh.user else ""
    host = f" ({profile.ssh.host}, port {profile.ssh.port})" if profile.ssh.host else ""
    stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
    said = step.summary.rstrip(".")
    return (f"On {stamp}, connecting to {profile.label}{host}{user} with Beamside {__version__} failed at "
            f"“{step.title}”: {said}.")


def versions() -> tuple[tuple[str, str], ...]:
    """What Beamside runs on."""
    found = [("Beamside", __version__), ("Python", platform.python_version()),
             ("system", f"{platform.system()} {platform.release()} {platform.machine()}")]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def as_text(report: Report) -> str:
    """The report as plain text: what is shown, and what is copied."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(report.when))
    lines = [f"Beamside connection report: {report.title} ({report.site})", when, ""]
    lines += [report.sentence, ""] if report.sentence else []
    if not report.complete:
        lines += ["The examination was ended before it was complete.", ""]
    for step in report.steps:
        lines.append(step_text(step))
        lines += [f"      {line}" for line in step.detail.splitlines()]
        if step.remedy:
            lines.append(f"    → {step.remedy}")
    lines += ["", "Site profile:"]
    lines += [f"  {fact.key} = {fact.value}" + (f"   ({fact.source})" if fact.source else "") for fact in report.facts]
    lines += ["", "Versions: " + ", ".join(f"{name} {version}" for name, version in report.versions), ""]
    return redacted("\n".join(lines))


def as_json(report: Report) -> dict[str, Any]:
    """The report as an object of docs/cli.md."""
    return {"site": report.site, "title": report.title, "contact": report.contact, "healthy": report.healthy,
            "complete": report.complete, "sentence": report.sentence, "when": report.when,
            "version": report.version, "versions": dict(report.versions),
            "steps": [step_json(step) for step in report.steps],
            "profile": {fact.key: {"value": fact.value, "source": fact.source} for fact in report.facts}}


def step_text(step: Step) -> str:
    """One step in one line."""
    took = "" if step.seconds is None else f"  [{step.seconds:.2f} s]"
    return f"{MARKS[step.state]} {step.title}: {step.summary}{took}"


def step_json(step: Step) -> dict[str, Any]:
    """One step as an object of docs/cli.md."""
    return {"name": step.name, "title": step.title, "state": step.state.value, "summary": step.summary,
            "detail": step.detail, "remedy": step.remedy, "kind": step.kind, "tell": step.tell,
            "seconds": None if step.seconds is None else round(step.seconds, 3)}


def exit_code(report: Report) -> int:
    """0 when nothing failed, else that of what failed first (docs/cli.md)."""
    failed = report.failed
    return 0 if failed is None else error_of(failed).exit_code


def error_of(step: Step) -> BeamsideError:
    """What failed, as an error."""
    return error_of_kind(step.kind, step.summary, step.detail, step.remedy)
