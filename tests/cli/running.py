"""Runs commands for the contract tests and holds every one of them to what the contract says of all commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.remote.connection import Connection
from app.remote.seams import Interaction
from app.remote.sites import Sites

ROOT = Path(__file__).resolve().parents[2]
EXIT_CODES = (0, 1, 2, 3, 4, 5, 6, 130)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        return one_object(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error object, complete."""
        return checked_error(self.code, self.value)


def one_object(out: str) -> dict[str, Any]:
    """Standard output as the contract wants it with ``--json``: one object, standard JSON."""
    assert out.endswith("\n"), out
    value = json.loads(out, parse_constant=_no_constant)
    assert isinstance(value, dict)
    return value


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def checked_error(code: int, value: dict[str, Any]) -> dict[str, str]:
    """The error object in ``value``: four texts, a sentence as its summary."""
    assert code in EXIT_CODES
    assert code != 0, value
    assert list(value) == ["error"], value
    error = value["error"]
    assert sorted(error) == ["detail", "kind", "remedy", "summary"]
    assert all(isinstance(text, str) for text in error.values())
    assert error["summary"], error
    assert "Traceback" not in error["summary"] + error["remedy"]
    assert "\n" not in error["summary"] + error["remedy"], error
    assert error["summary"].rstrip()[-1] in ".?!", error
    assert error["kind"] != "internal" or code == 1, error
    result: dict[str, str] = error
    return result


class Shell:
    """A user's shell."""

    program: Sequence[str] = (sys.executable, "-m", "app")

    def environment(self, **changes: str | None) -> dict[str, str]:
        """This test's environment with changes; ``None`` takes a variable away."""
        merged: dict[str, str | None] = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *argv: str | bytes, env: dict[str, str] | None = None, cwd: Path | None = None,
              **options: Any) -> subprocess.Popen[bytes]:
        """Start a command; standard output and standard error are pipes."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([*self.program, *argv], cwd=cwd or ROOT, env=env or self.environment(), **options)

    def __call__(self, *argv: str | bytes, env: dict[str, str] | None = None, cwd: Path | None = None,
                 timeout_s: float = 60, **options: Any) -> Done:
        """Run a command to its end."""
        process = self.start(*argv, env=env, cwd=cwd, **options)
        return finished(process, timeout_s)


def finished(process: subprocess.Popen[bytes], timeout_s: float = 60) -> Done:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout_s} s; said {out!r} and {err!r}") from None
    return Done(process.returncode, (out or b"").decode("utf-8", "surrogateescape"),
                (err or b"").decode("utf-8", "surrogateescape"))


class InProcess:
    """Commands in this process, on one connection to the site ``local`` that outlives each of them."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._shared: _Shared | None = None
        self._real_open = Sites.open
        monkeypatch.setattr(Sites, "open", self._open)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._shared is not None:
            self._shared.connection.close()

    def __call__(self, *argv: str | Path) -> Done:
        """Run one command with ``--json``; its output is one object, its exit code one of the contract's."""
        self._capfd.readouterr()
        code = cli.main([*map(str, argv), "--json"])
        captured = self._capfd.readouterr()
        assert isinstance(code, int)
        return Done(code, captured.out, captured.err)

    def ok(self, *argv: str | Path) -> dict[str, Any]:
        """A command that must succeed."""
        done = self(*argv)
        assert done.code == 0, (argv, done)
        return done.value

    def fails(self, code: int, *argv: str | Path) -> dict[str, str]:
        """A command that must fail with this exit code; returns the error."""
        done = self(*argv)
        assert done.code == code, (argv, done)
        return done.error

    def _open(self, site: str, interaction: Interaction, *more: Any) -> Any:
        if site != "local":
            return self._real_open(Sites(), site, interaction, *more)
        if self._shared is None:
            self._shared = _Shared(self._real_open(Sites(), site, interaction, *more))
        return self._shared


class _Shared:
    """A connection that is not closed by the command that uses it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._opened: Future[Any] | None = None

    def open(self) -> Future[Any]:
        if self._opened is None:
            self._opened = self.connection.open()
        return self._opened

    def close(self, deadline_s: float = 0) -> None:
        """Closed by ``InProcess`` at its end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)
