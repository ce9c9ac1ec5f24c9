"""Packages for a site's Python, fetched to this computer: by pip, from the index and through the proxy the user set up.

Never compiles anything, never installs anything here. Blocks, on a worker thread; ends soon after ``cancelled`` is set.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app import paths
from app.errors import AgentError, CancelledByUserError, UnreachableError
from app.resources import resource_path

PACKAGES = ("numpy", "h5py", "hdf5plugin")
_PINNED_GLIBC = (2, 17)
_OLDEST_MANYLINUX = 5
_MUSL = ("musllinux_1_2", "musllinux_1_1")
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OUT_OF_REACH = ("Retrying", "Could not fetch URL", "connection error", "ProxyError", "SSLError")   # pip's words
_STEP_S = 0.2
_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class SitePython:
    """A Python at a site, as far as packages care.

    Attributes:
        version: (major, minor).
        glibc: (major, minor); ``None``: it has another C library.
    """

    version: tuple[int, int]
    machine: str
    glibc: tuple[int, int] | None

    @property
    def tag(self) -> str:
        """``cp39``."""
        return "cp{}{}".format(*self.version)

    @property
    def prefix(self) -> str:
        """What its private folders at the site begin with; as in boot.SOURCE."""
        return "private-{}.{}-{}-".format(*self.version, self.machine)

    @property
    def platforms(self) -> tuple[str, ...]:
        """pip's names of what runs there, newest first."""
        if self.glibc is None:
            return tuple(f"{name}_{self.machine}" for name in _MUSL)
        names = []
        for minor in range(self.glibc[1], _OLDEST_MANYLINUX - 1, -1):
            names += [f"manylinux_2_{minor}_{self.machine}"]
            names += [f"{_ALIASES[minor]}_{self.machine}"] if minor in _ALIASES else []
        return tuple(names)


@dataclass(frozen=True)
class Wheel:
    """A package that was fetched."""

    path: Path
    digest: str
    bytes: int
    unpacked_bytes: int

    @property
    def name(self) -> str:
        return self.path.name


def fetch(python: SitePython, cancelled: threading.Event) -> list[Wheel]:
    """The packages for ``python``, in this computer's cache.

    Those of common Pythons are known by their SHA-256 and taken from the cache if they are there; for others the newest
    that fit are taken, as pip finds them.

    Raises:
        AgentError: there are none for that Python.
        UnreachableError: they could not be fetched.
        CancelledByUserError: ``cancelled`` was set.
    """
    known = _known().get(f"{python.tag}-{python.machine}") if python.glibc and python.glibc >= _PINNED_GLIBC else None
    folder = paths.cache_dir() / "wheels" / f"{python.tag}-{python.machine}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if known:
        found = [wheel for wheel in map(_wheel, sorted(folder.glob("*.whl")))
                 if wheel.digest in {pin["sha256"] for pin in known.values()}]
        if len(found) == len(known):
            return found
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        fresh = Path(name)
        _run_pip(python, fresh, known, cancelled)
        for old in folder.glob("*.whl"):
            old.unlink()
        for file in fresh.glob("*.whl"):
            file.replace(folder / file.name)
    return [_wheel(file) for file in sorted(folder.glob("*.whl"))]


def _run_pip(python: SitePython, folder: Path, known: dict[str, dict[str, str]] | None,
             cancelled: threading.Event) -> None:
    wanted = folder / "wanted.txt"
    lines = [f"{name}=={pin['version']} --hash=sha256:{pin['sha256']}" for name, pin in known.items()] if known \
        else PACKAGES
    wanted.write_text("\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet",
               "--progress-bar", "off", "--no-deps", "--only-binary", ":all:", "--implementation", "cp",
               "--python-version", "{}.{}".format(*python.version), *(["--require-hashes"] if known else []),
               "--dest", str(folder), "-r", str(wanted)]
    for abi in (python.tag, "abi3", "none"):
        command += ["--abi", abi]
    for platform in python.platforms:
        command += ["--platform", platform]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        waited = 0.0
        try:
            while process.poll() is None and waited < _TIMEOUT_S and not cancelled.is_set():
                cancelled.wait(_STEP_S)
                waited += _STEP_S
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        said.seek(0)
        text = said.read().decode("utf-8", "replace")[-2000:].strip()
    if cancelled.is_set():
        raise CancelledByUserError("Fetching the packages was cancelled.")
    if process.returncode == 0:
        return
    if "No matching distribution" in text and not any(word in text for word in _OUT_OF_REACH):
        version = "{}.{}".format(*python.version)
        raise AgentError(f"There are no ready-made packages for Python {version} on {python.machine}.", text,
                         "Ask the facility for a Python with numpy and h5py.")
    raise UnreachableError("The packages for a private Python could not be fetched.", text,
                           "Check this computer's network, and the index and proxy that pip is set up for.")


def _wheel(path: Path) -> Wheel:
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except zipfile.BadZipFile:
        unpacked = 0
    return Wheel(path, hashlib.sha256(data).hexdigest(), len(data), unpacked)


@cache
def _known() -> dict[str, Any]:
    sets: dict[str, Any] = json.loads(resource_path("private_python", "wheels.json").read_text("utf-8"))["sets"]
    return sets
