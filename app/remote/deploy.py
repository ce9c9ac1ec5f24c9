"""Brings the agent to a site: finds a Python there, uploads the zip if it is not there exactly, and starts it.

Called on a worker thread, blocks. Every remote command is constant text; paths and names travel as arguments.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import AgentError, StorageFullError
from app.model.site import AgentSettings, SiteProfile
from app.paths import cache_dir
from app.remote.agent_zip import Upload, agent_zip, bitshuffle_library
from app.remote.seams import Transport

log = logging.getLogger(__name__)

_PROBE_S = 60.0
_UPLOAD_S = 300.0
_NICE = 10
_LOGIN_THREADS = 2
_AGENTS_KEPT = 4        # of other versions there may be programs that run; as in _RECEIVE
_OLDEST = (3, 8)
_GLIBC = (2, 14)
_MARK = "BEAMSIDE-ANSWER "

# Runs in any Python from 2.7 on. Arguments: cache folder, then name and SHA-256 of each file.
_PROBE = """
import hashlib, json, os, platform, sys
answer = {"python": platform.python_version(), "executable": sys.executable}
try:
    import numpy
    answer["numpy"] = numpy.__version__
    import h5py
    answer["h5py"] = h5py.__version__
except Exception as error:
    answer["missing"] = "%s: %s" % (type(error).__name__, error)
try:
    from importlib.util import find_spec
    answer["hdf5plugin"] = find_spec("hdf5plugin") is not None
except Exception:
    answer["hdf5plugin"] = False
answer["system"] = [platform.system(), platform.machine()] + list(platform.libc_ver())
folder = os.path.expanduser(sys.argv[1])
answer["folder"] = folder
answer["present"] = present = []
for name, digest in zip(sys.argv[2::2], sys.argv[3::2]):
    try:
        with open(os.path.join(folder, name), "rb") as file:
            present.append(hashlib.sha256(file.read()).hexdigest() == digest)
    except (IOError, OSError):
        present.append(False)
    try:
        for path in (os.path.join(folder, name), os.path.dirname(os.path.join(folder, name))):
            os.utime(path, None)   # in use, so not among the oldest
    except (IOError, OSError):
        continue
sys.stdout.write("\\nBEAMSIDE-ANSWER " + json.dumps(answer) + "\\n")
"""

# Arguments: folder, name below it, SHA-256. The file's bytes come on standard input.
_RECEIVE = """
import errno, hashlib, json, os, shutil, sys, tempfile, time
folder, name, digest = sys.argv[1:4]
target = os.path.join(folder, name)
place = os.path.dirname(target)
answer, temporary = {}, None
try:
    os.makedirs(place, 0o700, exist_ok=True)
    for private in {folder, place}:
        os.chmod(private, 0o700)
    data = sys.stdin.buffer.read()
    descriptor, temporary = tempfile.mkstemp(prefix=".upload-", dir=place)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    with open(temporary, "rb") as file:
        whole = hashlib.sha256(file.read()).hexdigest() == digest
    if whole:
        os.replace(temporary, target)
        temporary = None
    answer["result"] = "done" if whole else "damaged"
except OSError as error:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    answer["result"] = "full" if full else "failed"
    answer["detail"] = str(error)
finally:
    if temporary is not None:
        os.unlink(temporary)
def age(path):
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0
def oldest(start, end, keep):
    paths = [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(start) and n.endswith(end)]
    return sorted(paths, key=age)[keep:]
if answer["result"] == "done":
    for path in oldest("agent-", ".zip", 4) + [p for p in oldest(".upload-", "", 0) if age(p) > 3600]:
        try:
            os.unlink(path)
        except OSError:
            continue
    for path in oldest("plugins-", "", 2):
        shutil.rmtree(path, ignore_errors=True)
sys.stdout.write("\\nBEAMSIDE-ANSWER " + json.dumps(answer) + "\\n")
"""


@dataclass(frozen=True)
class AgentCommand:
    """How to start the agent that is in place; ``nonce`` is new for every start."""

    python: tuple[str, ...]
    zip_path: str
    options: tuple[str, ...]

    def argv(self, nonce: str) -> list[str]:
        return [*self.python, "-I", "-X", "utf8", self.zip_path, "--nonce", nonce, *self.options]


def new_nonce() -> str:
    """What the agent must write before its first frame."""
    return secrets.token_hex(16)


def deploy(transport: Transport, profile: SiteProfile, agent: Upload | None = None) -> AgentCommand:
    """See that the agent is in place at the site, exactly this one.

    Args:
        transport: the connection.
        profile: its ``agent`` part names the Pythons to try and the cache folder.
        agent: another agent than this program's own.

    Raises:
        AgentError: no Python fits, or the upload failed.
        StorageFullError: there is no room for it.
    """
    upload = agent or agent_zip()
    settings = profile.agent
    if profile.is_local and settings.python == AgentSettings().python:
        return _in_place_here(upload, settings)
    library = bitshuffle_library()
    python, answer = _find_python(transport, profile, [u for u in (upload, library) if u is not None])
    folder = str(answer["folder"])
    present = [bool(item) for item in answer.get("present", [])]
    if not present[0]:
        _send(transport, python, folder, upload)
    plugins: tuple[str, ...] = ()
    if library is not None and not answer.get("hdf5plugin") and _takes_library(answer.get("system", [])):
        if not present[1]:
            _send(transport, python, folder, library)
        plugins = ("--plugins", f"{folder}/{library.name.rpartition('/')[0]}")
    return AgentCommand(python, f"{folder}/{upload.name}", (*_options(profile, upload), *plugins))


def python_command(candidate: str) -> tuple[str, ...]:
    """The argument list that runs a profile's Python; the arguments that follow reach it unchanged.

    Environment modules exist in login shells only, so candidates that load one get a login shell.
    """
    shell = ("bash", "-lc") if "module " in candidate else ("sh", "-c")
    return (*shell, candidate + ' "$@"', "beamside-python")


def _in_place_here(upload: Upload, settings: AgentSettings) -> AgentCommand:
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
    return AgentCommand((sys.executable,), str(target), ("--readers", str(settings.workers), "--threads", "0",
                                                        "--digest", upload.digest))


def _options(profile: SiteProfile, upload: Upload) -> tuple[str, ...]:
    threads = _LOGIN_THREADS if profile.agent.run == "login" else 0
    options = ("--readers", str(max(1, profile.agent.workers)), "--threads", str(threads), "--digest", upload.digest)
    if profile.is_local:
        return options
    return (*options, "--nice", str(_NICE), "--memory-mb", str(profile.agent.memory_mb))


def _find_python(transport: Transport, profile: SiteProfile,
                 uploads: Sequence[Upload]) -> tuple[tuple[str, ...], dict[str, Any]]:
    wanted = [text for upload in uploads for text in (upload.name, upload.digest)]
    tried = []
    for candidate in profile.agent.python:
        python = python_command(candidate)
        result = transport.run([*python, "-I", "-c", _PROBE, profile.agent.cache, *wanted], timeout_s=_PROBE_S)
        answer = _answer(result.text)
        if answer is None:
            said = result.error_text.strip().splitlines()
            tried.append(f"{candidate}: {said[-1] if said else f'ended with status {result.exit_code}'}")
        elif _version(str(answer.get("python"))) < _OLDEST:
            tried.append(f"{candidate}: Python {answer.get('python')} is too old")
        elif answer.get("missing"):
            tried.append(f"{candidate}: Python {answer.get('python')}, {answer['missing']}")
        else:
            log.info("agent at %s: %s, Python %s, numpy %s, h5py %s", profile.name, answer.get("executable"),
                     answer.get("python"), answer.get("numpy"), answer.get("h5py"))
            return python, answer
    raise AgentError(f"No Python with numpy and h5py was found at {profile.title or profile.name}.", "\n".join(tried),
                     "Name a Python (3.8 or newer) that has both under [agent] python in the site profile.")


def _send(transport: Transport, python: Sequence[str], folder: str, upload: Upload) -> None:
    log.info("uploading %s (%d bytes)", upload.name, len(upload.data))
    result = transport.run([*python, "-I", "-c", _RECEIVE, folder, upload.name, upload.digest],
                           stdin=upload.data, timeout_s=_UPLOAD_S)
    answer = _answer(result.text) or {}
    outcome, detail = answer.get("result"), str(answer.get("detail") or result.error_text.strip()[-2000:])
    if outcome == "done":
        return
    if outcome == "full":
        raise StorageFullError(f"There is no room for Beamside's agent in {folder} at the site.", detail,
                               "Make room there, or name another folder under [agent] cache in the site profile.")
    if outcome == "damaged":
        raise AgentError("The agent was damaged while it was uploaded.", detail, "Connect again.")
    raise AgentError(f"The agent could not be stored in {folder} at the site.", detail,
                     "Name another folder under [agent] cache in the site profile.")


def _answer(text: str) -> dict[str, Any] | None:
    for line in reversed(text.splitlines()):
        if line.startswith(_MARK):
            try:
                value = json.loads(line[len(_MARK):])
            except ValueError:
                return None
            return value if isinstance(value, dict) else None
    return None


def _takes_library(system: Sequence[str]) -> bool:
    return (len(system) == 4 and list(system[:3]) == ["Linux", "x86_64", "glibc"] and _version(system[3]) >= _GLIBC)


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split(".")[:2]:
        digits = "".join(c for c in part if c.isdigit())
        parts.append(int(digits) if digits else 0)
    return tuple(parts)
