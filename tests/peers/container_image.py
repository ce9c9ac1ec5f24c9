"""A container image as ch-run takes it: a root file system with Debian's python3, numpy and h5py, built once, reused.

Built by mmdebstrap from the distribution's own packages (20 s, 290 MB), kept below ``/opt/beamside-test``, readable by
the jobs of any user; by one program at a time, while others wait for it. ``python -m tests.peers.container_image``
prints its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock

_DEFAULT = "/opt/beamside-test/containers"
_PACKAGES = "python3-minimal,python3-numpy,python3-h5py"
_MOUNT_POINTS = ("data",)       # ch-run makes none in an image; /tmp, where test accounts live, it has itself


def container_image(folder: str | None = None) -> Path:
    """The root file system, made first if it is not there.

    Raises:
        RuntimeError: it could not be built; the message holds the last lines.
    """
    kept = Path(folder or os.environ.get("BEAMSIDE_CONTAINERS") or _DEFAULT)
    root = kept / f"{_release()}-python"
    if not (root / "etc/beamside-complete").exists():
        kept.mkdir(parents=True, exist_ok=True)
        kept.chmod(0o755)
        with filelock.FileLock(kept / f".{root.name}.lock"):
            if not (root / "etc/beamside-complete").exists():
                _build(root)
    return root


def _build(root: Path) -> None:
    part = root.with_name(f".{root.name}.part")
    shutil.rmtree(part, ignore_errors=True)           # of one that was killed
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", "--mode=root", "--format=directory",
         _release(), str(part)], capture_output=True, text=True, timeout=900, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise RuntimeError(f"mmdebstrap failed: {done.stderr.strip()[-800:]}")
    for name in _MOUNT_POINTS:
        (part / name).mkdir()
    (part / "etc/beamside-complete").write_text("")
    part.chmod(0o755)
    if root.exists():
        shutil.rmtree(root)
    part.rename(root)


def _release() -> str:
    """The code name of this machine's distribution: its package sources are known to work."""
    for line in Path("/etc/os-release").read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    return "bookworm"


if __name__ == "__main__":
    try:
        print(container_image())
    except RuntimeError as error:
        sys.exit(str(error))
