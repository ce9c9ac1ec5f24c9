"""Podman for the accounts of a test facility: an image of theirs, and what containers need of this machine. Needs root.

The image is the root file system of ``container_image``, taken in by ``podman import``. crun refuses a machine that has
both kinds of cgroups mounted (unless the newer one is empty), so the mounts of this process are its own meanwhile,
without the newer kind; what it starts inherits that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.peers.slurm import SlurmFacility

IMAGE = "localhost/beamside-python:1"
_NEW_MOUNTS = 0x00020000        # CLONE_NEWNS
_BOTH = Path("/sys/fs/cgroup/unified")
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def one_kind_of_cgroups() -> Iterator[None]:
    """For this thread and what it starts.

    Raises:
        OSError: this kernel or account cannot.
    """
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_LIBC.unshare(_NEW_MOUNTS))
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
        if os.path.ismount(_BOTH):
            subprocess.run(["umount", str(_BOTH)], check=True, capture_output=True)
        yield
    finally:
        _LIBC.setns(before, _NEW_MOUNTS)        # refused while threads of this one are left: then it stays so
        os.close(before)


def prepare(site: SlurmFacility, user: str, root: Path, archive: Path) -> None:
    """Give ``user`` the image, by the name :data:`IMAGE` and as ``archive``.

    Raises:
        RuntimeError: podman does not work here; the message holds its last words.
    """
    settings = site.home(user) / ".config/containers"
    settings.mkdir(parents=True)
    (settings / "storage.conf").write_text('[storage]\ndriver = "overlay"\n')
    for folder in (settings, settings.parent):
        shutil.chown(folder, user, user)
    packed = site.layout.root / "image.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(packed), "."], check=True, timeout=120)
    try:
        for words in (("import", "-q", str(packed), IMAGE), ("save", "-q", "-o", str(archive), IMAGE)):
            done = site.run("podman", *words, user=user, timeout_s=300)
            if done.returncode:
                raise RuntimeError(f"podman {words[0]}: {done.stderr.strip()[-500:]}")
    finally:
        packed.unlink()


def processes_of(user_id: int) -> dict[int, str]:
    """What runs as this account: command lines by process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user_id:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = words.decode("utf-8", "replace")
    return found


def tidy(user_id: int) -> None:
    """End what containers left of the test account, and remove podman's runtime folders."""
    for pid in processes_of(user_id):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(f"/tmp/podman-run-{user_id}", ignore_errors=True)


def _check(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
