"""Where secrets must not turn up, looked at after each test and once more, wholly, after the last one.

The log (ours, paramiko's, urllib3's and requests' from DEBUG on, msal's as Beamside lets it speak), what Beamside's
processes and the test itself printed, their arguments and environments, and Beamside's folders with its log and crash
files. Not looked at: the keyring, ``~/.ssh``, and what tests' own robots log.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tests.checks.secrets import KNOWN, Secrets

LOUD = ("app", "paramiko", "urllib3", "requests", "keyring")   # msal is kept quiet by Beamside, whose claim that is
_NOT_OURS = (".ssh", "keyrings", "pki")
_OURS = (b"-m\0app", b"app.remote", b"agent-", b"beamside")
_ROOT = Path(__file__).resolve().parents[2]
_LOOK_S = 1.0
_LARGEST = 1 << 28
_KEY = b"PRIVATE KEY-----"


class SecretPlaces:
    """The places of one run. ``begin`` and ``end`` surround a test; ``everything`` is for the end of the run."""

    def __init__(self, secrets: Secrets = KNOWN) -> None:
        self._secrets = secrets
        self._said: list[tuple[str, bytes]] = []           # of this test: (place, content)
        self._folders: dict[Path, None] = {}               # of this test
        self._all_folders: dict[Path, None] = {}
        self._all_said = tempfile.TemporaryFile()          # noqa: SIM115  # closed by close()
        self._log = _Log()
        self._enough = threading.Event()
        self._onlooker = threading.Thread(target=self._look_around, name="onlooker-of-processes", daemon=True)
        self._communicate = subprocess.Popen.communicate
        self._open = False

    def start(self) -> None:
        """Listen from now on."""
        self._open = True
        logging.getLogger().addHandler(self._log)
        sys.addaudithook(self._audit)
        places = self

        def communicate(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> Any:
            said = places._communicate(process, *args, **kwargs)
            if any(mark in _joined(process.args) for mark in _OURS):
                for stream in said:
                    places.say("the output of a program of ours", stream)
            return said

        subprocess.Popen.communicate = communicate         # type: ignore[method-assign]
        self._onlooker.start()

    def close(self) -> None:
        """Listen no more."""
        self._open = False                                 # an audit hook stays for good
        self._enough.set()
        self._onlooker.join(5)
        subprocess.Popen.communicate = self._communicate   # type: ignore[method-assign]
        logging.getLogger().removeHandler(self._log)
        self._all_said.close()

    def begin(self, *folders: Path) -> None:
        """A test begins that has Beamside's files in ``folders``."""
        self._log.take()
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.DEBUG)
        self._said.clear()
        self._folders = dict.fromkeys(folders)

    def watch(self, folder: Path) -> None:
        """Beamside also has files here during this test."""
        self._folders[folder] = None

    def say(self, place: str, text: str | bytes | None) -> None:
        """This was said at ``place``: printed, reported, given as an argument."""
        if text:
            self._said.append((place, text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))

    def end(self) -> list[str]:
        """What was found of which secret, where, during this test."""
        said, self._said = [("the log", self._log.take()), *self._said], []
        found = []
        for place, content in said:
            found += self._found(place, content)
            self._all_said.write(content + b"\n")
        for folder in self._folders:
            found += self._found_below(folder)
        self._all_folders |= self._folders
        return list(dict.fromkeys(found))

    def everything(self) -> list[str]:
        """All that was said and written during the run, searched for all secrets of the run."""
        self._all_said.seek(0)
        found = self._found("the log, the output or the arguments of the whole run", self._all_said.read())
        for folder in self._all_folders:
            found += self._found_below(folder)
        return list(dict.fromkeys(found))

    def _found(self, place: str, content: bytes, words: bool = True) -> list[str]:
        found = [f"{what} is in {place}" for what in self._secrets.found_in(content, words)]
        return [*found, f"a private key is in {place}"] if _KEY in content else found

    def _found_below(self, folder: Path) -> list[str]:
        found = []
        for file in _files(folder):
            try:
                if file.stat().st_size > _LARGEST:
                    found.append(f"{file} is too large to be searched")
                    continue
                content = file.read_bytes()
            except OSError:
                continue                                   # gone meanwhile, or a socket
            found += self._found(str(file), content, words=b"\0" not in content[:4096])
        return found

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self._open and _started_by_us(sys._getframe(1)):
            _program, argv, _folder, environment = args
            given = os.environ if environment is None else environment
            self.say(f"the arguments or environment of {_joined(argv)[:60]!r}",
                     _joined(argv) + b"\0" + b"\0".join(_bytes(part) for pair in given.items() for part in pair))

    def _look_around(self) -> None:
        seen: set[tuple[bytes, bytes]] = set()
        mark = f"BEAMSIDE_TEST_RUN={os.getpid()}".encode()
        while not self._enough.wait(_LOOK_S):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    argv = (process / "cmdline").read_bytes()
                    if not any(word in argv for word in _OURS):
                        continue
                    environment = (process / "environ").read_bytes()
                except OSError:
                    continue                               # it ended, or is somebody else's
                if (argv, environment) not in seen and mark in environment:
                    seen.add((argv, environment))
                    self.say(f"the arguments or environment of {argv[:60]!r}", argv + b"\0" + environment)


class _Log(logging.Handler):
    """Keeps what is logged by whatever is not a test's own robot."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName != "robot" and not record.name.startswith("tests"):
            self._lines.append(self.format(record))

    def take(self) -> bytes:
        """Everything since the last time."""
        lines, self._lines = self._lines, []
        return "\n".join(lines).encode("utf-8", "surrogateescape")


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in files:
            file = Path(place, name)
            if not file.is_symlink():
                yield file


def _started_by_us(frame: FrameType | None) -> bool:
    """Whether Beamside, not a test or a peer, asked for the new process."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(str(_ROOT)) and "/.venv/" not in file:
            return file.startswith(str(_ROOT / "app"))
        frame = frame.f_back
    return False


def _joined(argv: Any) -> bytes:
    return b"\0".join(_bytes(word) for word in ([argv] if isinstance(argv, (str, bytes, os.PathLike)) else argv))


def _bytes(word: Any) -> bytes:
    return os.fsencode(word) if isinstance(word, (str, bytes, os.PathLike)) else str(word).encode()


PLACES = SecretPlaces()
"""Of this run (of this worker, if there are several)."""
