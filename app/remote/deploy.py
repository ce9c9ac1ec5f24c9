"""Starts the agent at a site: tries the profile's Pythons in order, and sends what is not there exactly.

One command does it all (:mod:`app.remote.boot`), so that the agent answers two or three round trips after the
transport is there. Called on a worker thread, blocks. Every remote command is constant text; paths and names travel
as arguments.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any

from app.errors import AgentError, BeamsideError, LinkError, LinkLostError, StorageFullError
from app.model.site import AgentSettings, SiteProfile
from app.paths import cache_dir
from app.remote.agent_zip import Upload, agent_zip, libraries
from app.remote.boot import SOURCE, Boot
from app.remote.seams import ByteStream, Transport

log = logging.getLogger(__name__)

PROBE_S = 60.0
_UPLOAD_S = 300.0
_LAST_WORDS_S = 2.0
_NICE = 10
_AGENTS_KEPT = 4        # of other versions there may be programs that run; as in boot.SOURCE
_OLDEST = (3, 8)
_LACKING = ("No module named 'numpy'", "No module named 'h5py'")


class NoUsablePythonError(AgentError):
    """No Python at the site has what the agent needs.

    Attributes:
        without_packages: the candidates that are new enough, and only lack numpy or h5py.
    """

    without_packages: tuple[str, ...] = ()


def new_nonce() -> str:
    """What the agent must write before its first frame; new for every start."""
    return secrets.token_hex(16)


def start_agent(transport: Transport, profile: SiteProfile, nonce: str, agent: Upload | None = None,
                prefix: Sequence[str] = (), within_s: float = PROBE_S) -> ByteStream:
    """Start the agent, exactly this one; its stream, at or before the marker line.

    Args:
        transport: the connection.
        profile: its ``agent`` part names the Pythons to try and the cache folder.
        nonce: what the agent will write on the marker line.
        agent: another agent than this program's own.
        prefix: what the command line begins with (a batch allocation's step).
        within_s: for a Python to say something.

    Raises:
        NoUsablePythonError: no Python fits.
        AgentError: the upload failed, or the agent does not start.
        StorageFullError: there is no room for it.
        LinkError: the site did not answer in time, or the link is lost.
    """
    upload = agent or agent_zip()
    settings = profile.agent
    if profile.is_local and settings.python == AgentSettings().python:
        return transport.start([sys.executable, "-I", "-X", "utf8", _in_place_here(upload), "--nonce", nonce,
                                "--readers", str(settings.workers), "--threads", "0", "--digest", upload.digest])
    uploads = (upload, *libraries())
    files = json.dumps([[item.name, item.digest, item.library] for item in uploads])
    tried, bare = [], []
    for candidate in settings.python:
        argv = [*prefix, *python_command(candidate), "-I", "-X", "utf8", "-c", SOURCE, settings.cache, nonce, files,
                *_options(profile, upload)]
        boot = Boot(transport.start(argv), nonce, within_s)
        try:
            problem = _brought_up(boot, transport, uploads)
        except BaseException:
            boot.close()
            raise
        if not problem:
            boot.hand_over()
            return boot
        boot.close()
        tried.append(f"{candidate}: {problem}")
        if problem.endswith(_LACKING):
            bare.append(candidate)
    lack = NoUsablePythonError(f"No Python with numpy and h5py was found at {profile.title or profile.name}.",
                               "\n".join(tried), "Name a Python (3.8 or newer) that has both under [agent] python in "
                               "the site profile, or ask the facility for one.")
    lack.without_packages = tuple(bare)
    raise lack


def python_command(candidate: str) -> tuple[str, ...]:
    """The argument list that runs a profile's Python; the arguments that follow reach it unchanged.

    Environment modules exist in login shells only, so candidates that load one get a login shell.
    """
    shell = ("bash", "-lc") if "module " in candidate else ("sh", "-c")
    return (*shell, candidate + ' "$@"', "beamside-python")


def _brought_up(boot: Boot, transport: Transport, uploads: Sequence[Upload]) -> str:
    """Go with it until it becomes the agent; what is wrong with this Python, ``""``: nothing."""
    while True:
        answer = boot.answer()
        if answer is None:
            return _why_it_ended(boot, transport)
        if _version(str(answer.get("python"))) < _OLDEST:
            return f"Python {answer.get('python')} is too old"
        if answer.get("missing"):
            return f"Python {answer.get('python')}, {answer['missing']}"
        if answer.get("result"):
            raise _refusal(answer)
        if answer.get("run"):
            log.info("the agent runs in %s, Python %s", answer.get("executable"), answer.get("python"))
            return ""
        boot.extend(_UPLOAD_S)
        _send(boot, uploads, answer.get("need"))


def _send(boot: Boot, uploads: Sequence[Upload], need: Any) -> None:
    names = need if isinstance(need, list) else []
    for upload in uploads:
        if upload.name in names:
            log.info("uploading %s (%d bytes, %d packed)", upload.name, len(upload.data), len(upload.sent))
            try:
                boot.write(len(upload.sent).to_bytes(8, "big") + upload.sent)
            except LinkLostError:
                return      # what it has said, or why the link is lost, is found by reading on


def _why_it_ended(boot: Boot, transport: Transport) -> str:
    if boot.late:
        raise LinkError("The site's Python did not answer in time.", boot.last_words()[-2000:],
                        "The facility may be busy. Try again, or name another Python in the site profile.")
    if not transport.alive:
        raise LinkLostError("The connection was lost while the agent was started.",
                            remedy="Beamside reconnects by itself when the network is back.")
    said = boot.last_words().splitlines()
    return said[-1].strip() if said else f"ended with status {boot.exit_code(_LAST_WORDS_S)}"


def _refusal(answer: dict[str, Any]) -> BeamsideError:
    folder, detail = answer.get("folder"), str(answer.get("detail") or "")
    if answer["result"] == "full":
        return StorageFullError(f"There is no room for Beamside's agent in {folder} at the site.", detail,
                                "Make room there, or name another folder under [agent] cache in the site profile.")
    if answer["result"] == "foreign":
        return AgentError(f"The folder {folder} at the site belongs to another account, so nothing is run from there.",
                          detail, "Name a folder of your own under [agent] cache in the site profile.")
    if answer["result"] == "damaged":
        return AgentError("The agent was damaged while it was uploaded.", detail, "Connect again.")
    return AgentError(f"The agent could not be stored in {folder} at the site.", detail,
                      "Name another folder under [agent] cache in the site profile.")


def _options(profile: SiteProfile, upload: Upload) -> tuple[str, ...]:
    threads = max(1, profile.agent.threads) if profile.agent.run == "login" else 0
    options = ("--readers", str(max(1, profile.agent.workers)), "--threads", str(threads), "--digest", upload.digest)
    if profile.is_local:
        return options
    return (*options, "--nice", str(_NICE), "--memory-mb", str(profile.agent.memory_mb))


def _in_place_here(upload: Upload) -> str:
    """Put the agent into this computer's cache, if it is not there; its path."""
    folder = cache_dir()
    target = folder / upload.name
    try:
        if not target.is_file() or target.read_bytes() != upload.data:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = folder / f".upload-{secrets.token_hex(8)}"
            try:
                temporary.touch(0o600)
                temporary.write_bytes(upload.data)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFullError(f"The agent could not be stored in {folder}.", str(error),
                               "Make room there, or set XDG_CACHE_HOME to another folder.") from None
    with contextlib.suppress(OSError):     # another program may be doing the same
        os.utime(target)                   # in use, so not among the oldest
        for old in sorted(folder.glob("agent-*.zip"), key=lambda p: p.stat().st_mtime)[:-_AGENTS_KEPT]:
            old.unlink()
    return str(target)


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split(".")[:2]:
        digits = "".join(c for c in part if c.isdigit())
        parts.append(int(digits) if digits else 0)
    return tuple(parts)
