"""Two accounts of this machine for visitors of a facility on it, with homes below one folder. Needs root."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
import time
from pathlib import Path


def make_accounts(root: Path, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Two accounts, bsvisitor1 and bsvisitor2 unless another facility has them; removed on the way out."""
    made: list[str] = []
    for number in range(1, 100):
        user, home = f"bsvisitor{number}", root / "home" / f"bsvisitor{number}"
        with contextlib.suppress(KeyError):
            if Path(pwd.getpwnam(user).pw_dir).exists():
                continue                                          # in use by another facility
            _account("userdel", "-f", user)                       # left by one that was killed
        home.parent.mkdir(exist_ok=True)
        # '*' and not '!': without PAM sshd refuses accounts that are locked
        _account("useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/bash", "--password", "*", user)
        stack.callback(_account, "userdel", "-f", user)
        made.append(user)
        if len(made) == 2:
            return made[0], made[1]
    raise RuntimeError("no free bsvisitor account names")


def _account(*argv: str) -> None:
    """useradd and userdel, again while somebody else has the password file locked."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    for _attempt in range(20):
        if "lock" not in done.stderr:
            break
        time.sleep(0.2)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode and argv[0] == "useradd":
        raise RuntimeError(f"{shutil.which(argv[0])}: {done.stderr.strip()}")
