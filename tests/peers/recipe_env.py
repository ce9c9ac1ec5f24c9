"""Python environments that batch jobs of any user can read: Debian's python3 with what a technique needs, built once.

A job runs as its user, and root's own environments (below /root) are closed to others. The versions are those of
``requirements.lock`` where it names them, else those given here. ``python tests/peers/recipe_env.py [TECHNIQUE]``
prints the interpreter's path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import filelock

_LOCK = Path(__file__).parent.parent.parent / "requirements.lock"
# Each technique: the variable that names another folder, the folder, and the packages.
_ENVIRONMENTS = {
    "saxs": ("BEAMSIDE_RECIPE_ENV", "/opt/beamside-test/recipes",
             ("pyfai", "fabio", "hdf5plugin", "h5py", "numpy", "scipy")),
    # scikit-image is what the tests compare with; the recipe does not use it.
    "tomography": ("BEAMSIDE_TOMOGRAPHY_ENV", "/opt/beamside-test/tomography",
                   ("algotom==1.7.0", "numba==0.68.1", "llvmlite==0.50.0", "PyWavelets==1.9.0", "joblib==1.6.0",
                    "scikit-image==0.26.0", "fabio", "hdf5plugin", "h5py", "numpy", "scipy", "pillow")),
}


def recipe_python(technique: str = "saxs", folder: str | None = None) -> Path:
    """The interpreter of the technique's environment, made first if it is not there (under half a minute with a warm
    cache).

    Raises:
        RuntimeError: it could not be built; the message holds pip's last lines.
    """
    variable, usual, wanted = _ENVIRONMENTS[technique]
    root = Path(folder or os.environ.get(variable) or usual)
    if not (root / "complete").exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{root}.lock"):        # other test programs want it at the same time
            if not (root / "complete").exists():
                _build(root, wanted)
    return root / "bin" / "python"


def _build(root: Path, wanted: Sequence[str]) -> None:
    python = root / "bin" / "python"
    base = "/usr/bin/python3"
    if not Path(base).exists():
        raise RuntimeError(f"{base} is missing: install Debian's python3 and python3-venv.")
    shutil.rmtree(root, ignore_errors=True)            # of one that was killed
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for argv in ([base, "-m", "venv", str(root)],
                 [*pip, *_requirements(wanted)],
                 ["chmod", "-R", "a+rX", str(root)]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"“{' '.join(argv[:4])} …” failed: {done.stderr.strip()[-800:]}")
    (root / "complete").write_text("")


def _requirements(wanted: Sequence[str]) -> list[str]:
    """The lock file's lines (with their markers) for what is wanted, as it is wanted where it has none."""
    locked: dict[str, list[str]] = {}
    if _LOCK.exists():
        for line in _LOCK.read_text().splitlines():
            match = re.match(r"([A-Za-z0-9_.-]+)==", line)
            if match:
                locked.setdefault(match.group(1).lower(), []).append(line.rstrip(" \\"))
    return [line for name in wanted
            for line in locked.get(name.partition("==")[0].lower(), [name])]


if __name__ == "__main__":
    try:
        print(recipe_python(*sys.argv[1:2]))
    except RuntimeError as error:
        sys.exit(str(error))
