"""A file system that is soon full (root only)."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.peers.need import missing, need_program


@contextlib.contextmanager
def small_disk(place: Path, kib: int = 64) -> Iterator[Path]:
    """A tmpfs of ``kib`` kibibytes at ``place``."""
    mount, umount = need_program("mount"), need_program("umount")
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={kib}k,mode=0777", "beamside-test", str(place)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"a tmpfs ({done.stderr.strip()})")
    try:
        assert shutil.disk_usage(place).total <= kib * 1024
        yield place
    finally:
        subprocess.run([umount, "-l", str(place)], check=True, capture_output=True)
