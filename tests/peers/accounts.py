"""Accounts of this machine for visitors of a facility on it. Needs root.

Test programs and checkouts beside each other share one password file: whoever adds to it or removes from it holds the
lock of this module, from looking which names are free until the homes are there.
"""

from __future__ import annotations

import contextlib
import grp
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import filelock

_ALONE = filelock.FileLock("/tmp/beamside-test-accounts.lock")    # whatever TMPDIR is
_LOCKED_ATTEMPTS = 100


def make_accounts(root: Path, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Two accounts, bsvisitor1 and bsvisitor2 unless another facility has them, with homes in ``root``; removed on the
    way out.
    """
    made: list[str] = []
    (root / "home").mkdir(exist_ok=True)
    with _ALONE:
        for number in range(1, 100):
            user, home = f"bsvisitor{number}", root / "home" / f"bsvisitor{number}"
            with contextlib.suppress(KeyError):
                if Path(pwd.getpwnam(user).pw_dir).exists():
                    continue                                      # in use by another facility
                _change("userdel", "-f", user)                    # left by one that was killed
            _add(user, home)
            stack.callback(remove_account, user)
            made.append(user)
            if len(made) == 2:
                return made[0], made[1]
    raise RuntimeError("no free bsvisitor account names")


def make_account(user: str, stack: contextlib.ExitStack, home: Path | None = None, shell: str = "/bin/bash") -> None:
    """One account, with a home of its own or none; removed on the way out.

    Raises:
        RuntimeError: useradd's words, for example that there is one of that name.
    """
    with _ALONE:
        _add(user, home, shell)
    stack.callback(remove_account, user)


def remove_account(user: str, *options: str) -> None:
    """Remove an account where there is one (``-r``: with its home)."""
    with _ALONE:
        _change("userdel", "-f", *options, user)


def _add(user: str, home: Path | None, shell: str = "/bin/bash") -> None:
    # '*' and not '!': without PAM sshd refuses accounts that are locked
    place = ("--create-home", "--home-dir", str(home)) if home else ("--no-create-home",)
    with contextlib.suppress(KeyError):
        grp.getgrnam(user)
        _change("groupdel", user)                                 # its account is gone: a userdel was killed half-way
    done = _change("useradd", *place, "--shell", shell, "--password", "*", user)
    if done.returncode:
        raise RuntimeError(f"{shutil.which('useradd')}: {done.stderr.strip()}")


def _change(*argv: str) -> subprocess.CompletedProcess[str]:
    """useradd and userdel, again while a program that is not ours has the password file locked."""
    for _attempt in range(_LOCKED_ATTEMPTS):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        if "lock" not in done.stderr:
            break
        time.sleep(0.2)
    return done
