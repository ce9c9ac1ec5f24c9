"""A Python environment that batch jobs of any user can read: Debian's python3 with pyFAI, built once and reused.

A job runs as its user, and root's own environments (below /root) are closed to others. The versions are those of
``requirements.lock`` where it names them. ``python tests/peers/recipe_env.py`` prints the interpreter's path.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_LOCK = Path(__file__).parent.parent.parent / "requirements.lock"
_WANTED = ("pyfai", "fabio", "hdf5plugin", "h5py", "numpy", "scipy")
_DEFAULT = "/opt/beamside-test/recipes"


def recipe_python(folder: str | None = None) -> Path:
    """The interpreter of the environment, made first if it is not there (18 s with a warm cache).

    Raises:
        RuntimeError: it could not be built; the message holds pip's last lines.
    """
    root = Path(folder or os.environ.get("BEAMSIDE_RECIPE_ENV") or _DEFAULT)
    python = root / "bin" / "python"
    if (root / "complete").exists():
        return python
    base = "/usr/bin/python3"
    if not Path(base).exists():
        raise RuntimeError(f"{base} is missing: install Debian's python3 and python3-venv.")
    root.parent.mkdir(parents=True, exist_ok=True)
    for argv in ([base, "-m", "venv", str(root)],
                 [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_requirements()],
                 ["chmod", "-R", "a+rX", str(root)]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"“{' '.join(argv[:4])} …” failed: {done.stderr.strip()[-800:]}")
    (root / "complete").write_text("")
    return python


def _requirements() -> list[str]:
    """The lock file's lines (with their markers) for what the recipes need, the bare name where it has none."""
    locked: dict[str, list[str]] = {}
    if _LOCK.exists():
        for line in _LOCK.read_text().splitlines():
            match = re.match(r"([A-Za-z0-9_.-]+)==", line)
            if match:
                locked.setdefault(match.group(1).lower(), []).append(line.rstrip(" \\"))
    return [line for name in _WANTED for line in locked.get(name, [name])]


if __name__ == "__main__":
    try:
        print(recipe_python(*sys.argv[1:2]))
    except RuntimeError as error:
        sys.exit(str(error))
