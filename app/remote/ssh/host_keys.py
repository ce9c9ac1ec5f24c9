"""Is this the server we mean? Profile keys, the user's known_hosts, Beamside's own; else the person decides.

Runs on the connecting thread, before anything secret is sent. A key that differs from a known one is refused and
there is no way round here; the user's own known_hosts is read and never written.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from app import paths
from app.errors import HostKeyChangedError, HostKeyUnknownError
from app.remote.seams import Interaction
from app.remote.ssh.randomart import randomart, title_of

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
_SYSTEM_FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@dataclass(frozen=True)
class KnownKey:
    """One key of one host, and where it is written."""

    key_type: str
    blob: bytes
    source: str
    revoked: bool = False


class HostKeys:
    """What is known of one host's keys.

    Args:
        host: as in the profile; ``port`` other than 22 makes it ``[host]:port`` in known_hosts files.
        pinned: the profile's key lines (type and key, without the host). When there are any, nothing else counts, but
            that a key is revoked.
        accepted: SHA-256 fingerprints the caller vouches for (``--accept-host-key``).
        user_files: the person's known_hosts files; ``None``: those ``ssh`` reads by default.
        alias: the name to look up in place of host and port (``HostKeyAlias``).
        gateway: for sentences: the host is one on the way.
    """

    def __init__(self, host: str, port: int, pinned: Sequence[str] = (), accepted: frozenset[str] = frozenset(), *,
                 user_files: Sequence[Path] | None = None, alias: str = "", gateway: bool = False) -> None:
        self._name = alias or (host if port == 22 else f"[{host}]:{port}")
        self._called = f"the gateway {self._name}" if gateway else self._name
        self._accepted = accepted
        self._pinned = bool(pinned)
        files = (*(_user_files() if user_files is None else user_files), own_file(), *_SYSTEM_FILES)
        found = [key for file in files for key in read_known_hosts(file, self._name)]
        self._known = [key for key in found if key.revoked or not pinned]
        # as ssh does: the same key on the host's usual port is as good, another one there says nothing
        self._elsewhere = [] if pinned or alias or port == 22 else \
            [key for file in files for key in read_known_hosts(file, host)]
        self._known += [_key_of(line.split(), "the site profile") for line in pinned if len(line.split()) >= 2]

    @property
    def preferred_types(self) -> tuple[str, ...]:
        """Key algorithms to ask the server for first: those of the known keys."""
        wanted: list[str] = []
        for key in self._known:
            for name in _RSA_SIGNATURES if key.key_type == "ssh-rsa" else (key.key_type,):
                if name not in wanted:
                    wanted.append(name)
        return tuple(wanted)

    def check(self, key: paramiko.PKey, interaction: Interaction) -> None:
        """Return if ``key`` is the host's; an unknown one is stored once somebody has vouched for it.

        Raises:
            HostKeyChangedError: another key is known for this host.
            HostKeyUnknownError: nobody vouched for it.
        """
        key_type, blob = key.get_name(), key.asbytes()
        print_ = fingerprint(blob)
        same = [known for known in self._known if known.blob == blob]
        elsewhere = [known for known in self._elsewhere if known.blob == blob]
        revoked = next((known for known in (*same, *elsewhere) if known.revoked), None)
        if revoked is not None:
            raise HostKeyChangedError(
                f"The key of {self._called} is marked as revoked in {revoked.source}, so Beamside does not connect.",
                detail=f"{key_type} {print_}", remedy="Ask the facility for its present host key.")
        if same:
            return
        others = [known for known in self._known if not known.revoked]
        if others:
            raise self._changed(others, key_type, print_)
        if elsewhere:
            return
        picture = randomart(blob, title_of(key_type, key.get_bits()))
        if print_ not in self._accepted and not interaction.confirm_host_key(self._called, key_type, print_, picture):
            raise HostKeyUnknownError(
                f"The host key of {self._called} is not known: {key_type} {print_}.",
                remedy=f"Compare it with the facility's page, then allow it with: --accept-host-key {print_}",
                host=self._name, key_line=_line(self._name, key_type, blob), fingerprint=print_)
        self._remember(key_type, blob)

    def _changed(self, others: Sequence[KnownKey], key_type: str, print_: str) -> HostKeyChangedError:
        known = "\n".join(f"known:   {k.key_type} {fingerprint(k.blob)} ({k.source})" for k in others)
        where = "the site profile" if self._pinned else others[0].source
        return HostKeyChangedError(
            f"{'The' + self._called[3:] if self._called != self._name else self._name} shows another "
            "host key than the one known, so Beamside does not connect: somebody may be listening in, or the facility "
            "has a new key.",
            detail=f"offered: {key_type} {print_}\n{known}",
            remedy=f"Ask the facility. If the key is new, correct {where}.")

    def _remember(self, key_type: str, blob: bytes) -> None:
        file = own_file()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with file.open("a", encoding="utf-8") as out:
            out.write(_line(self._name, key_type, blob) + "\n")
        self._known.append(KnownKey(key_type, blob, str(file)))


def fingerprint(blob: bytes) -> str:
    """``SHA256:…`` as OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def own_file() -> Path:
    """Beamside's own known_hosts."""
    return paths.state_dir() / "known_hosts"


def read_known_hosts(file: Path, name: str) -> list[KnownKey]:
    """The keys an OpenSSH known_hosts file has for ``name``; certificate authorities and broken lines are left out."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith("#") or fields[0] == "@cert-authority":
            continue
        revoked = fields[0] == "@revoked"
        if revoked:
            fields = fields[1:]
        if len(fields) < 3 or not _matches(fields[0].split(","), name):
            continue
        try:
            found.append(_key_of(fields[1:], f"{file}, line {number}", revoked))
        except ValueError:
            continue
    return found


def _user_files() -> tuple[Path, ...]:
    return (Path.home() / ".ssh" / "known_hosts", Path.home() / ".ssh" / "known_hosts2")


def _key_of(fields: Sequence[str], source: str, revoked: bool = False) -> KnownKey:
    return KnownKey(fields[0], base64.b64decode(fields[1]), source, revoked)


def _matches(patterns: Iterable[str], name: str) -> bool:
    hit = False
    for pattern in patterns:
        if pattern.startswith("|1|"):
            hit = hit or _hashed_is(pattern, name)
        elif pattern.startswith("!"):
            if _glob(name, pattern[1:]):
                return False
        else:
            hit = hit or _glob(name, pattern)
    return hit


def _glob(name: str, pattern: str) -> bool:
    # known_hosts has * and ? only; [host]:port is literal there, and fnmatch reads [ ] as a set
    return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _hashed_is(pattern: str, name: str) -> bool:
    try:
        _, _, salt, digest = pattern.split("|")
        mine = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(mine, base64.b64decode(digest))
    except ValueError:
        return False


def _line(name: str, key_type: str, blob: bytes) -> str:
    return f"{name} {key_type} {base64.b64encode(blob).decode()}"
