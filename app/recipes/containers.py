"""How a recipe's program is started inside a container: the words of the batch script before ``python3 run.py …``.

Pure, no I/O. One idea in three spellings (apptainer, ch-run, podman): the image, the folders it sees under their own
paths, the job's folder as working directory, the job's environment (``BEAMSIDE_*``, ``OMP_NUM_THREADS``) passed on, and
Python's own variables of the node left outside. Every value is quoted by shlex; what an option of a runtime cannot
carry is refused in one sentence by :func:`container_problem`, before anything is submitted.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

RUNTIMES = ("apptainer", "ch-run", "podman")
_SYSTEM = frozenset(("bin", "boot", "dev", "etc", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "srv", "sys",
                     "usr", "var"))
_JOB_IDS = ("SLURM_JOB_ID", "JOB_ID", "PBS_JOBID", "LSB_JOBID")       # for the provenance of results
# In podman's containers the program would be process 1, which signals without a handler do not reach: SIGTERM would be
# lost. An image has sh, but not always an init; a container's last process is gone when this one is. Where podman is
# killed before it passed SIGTERM on, the container would go on: so the job's own status is looked at, too.
_FIRST_PROCESS = """\
told=
trap '[ -n "$told" ] || { told=yes; kill -TERM "$child" 2>/dev/null; }' TERM
"$@" &
child=$!
while sleep 1; do
  line=
  { read -r line <"$BEAMSIDE_FOLDER/status$BEAMSIDE_STEM.json"; } 2>/dev/null
  case $line in
    *'"state":"stopping"'*|*'"state":"ended"'*) kill -TERM $$; sleep 60; kill -KILL "$child" 2>/dev/null ;;
  esac
done >/dev/null 2>&1 &
watch=$!
wait "$child"; code=$?
while [ -n "$told" ]; do        # the signal ended the wait, not the program
  wait "$child"; again=$?
  [ "$again" = 127 ] || code=$again
  kill -0 "$child" 2>/dev/null || break
done
kill "$watch" 2>/dev/null
exit "$code"
"""
_OUTSIDE = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP")    # a module's packages are not for the image's Python


@dataclass(frozen=True)
class Bind:
    """A folder that the container sees under its own path; read-only unless ``writable`` (ch-run knows no such thing:
    there the user's own rights count)."""

    path: PurePosixPath
    writable: bool = False


def image_path(name: str, images: Mapping[str, str]) -> str:
    """Where a recipe's ``image`` is: looked up in the profile's ``[software.images]``, else it is a path itself.

    ``""``: it is a name that the profile does not know.
    """
    return images.get(name, name if name.startswith("/") else "")


def job_binds(folder: PurePosixPath, home: PurePosixPath, files: Iterable[PurePosixPath],
              further: Iterable[str] = ()) -> tuple[Bind, ...]:
    """What a job has to see: its folder and the home (writable), the trees its input files are in (read-only), and
    the ``further`` folders of the profile (``[software] binds``, read-only). Outer folders come first.

    A whole tree (``/data``), not the file's folder alone: master files lead to parts beside and above them.
    """
    binds = dict.fromkeys(map(PurePosixPath, further), False)
    binds |= {tree(path): False for path in files}
    binds |= {home: True, folder: True}
    return tuple(Bind(path, writable) for path, writable in sorted(binds.items(), key=lambda bind: len(bind[0].parts)))


def tree(path: PurePosixPath) -> PurePosixPath:
    """The first folder of a path (``/data``), the first two below folders that an image has itself (``/srv/data``)."""
    depth = 3 if len(path.parts) > 2 and path.parts[1] in _SYSTEM else 2
    return PurePosixPath(*path.parts[:depth])


def container_problem(runtime: str, image: str, binds: Sequence[Bind], folder: PurePosixPath) -> str:
    """Why a program cannot be run in a container here, in one sentence; ``""``: it can.

    Args:
        runtime: the profile's ``[software] containers``.
        image: as :func:`image_path` gives it.
    """
    if runtime not in RUNTIMES:
        said = "runs no containers" if runtime == "none" else "does not say how containers are run"
        return f"The recipe needs a container image, but the site's profile {said} ([software] containers)."
    if not image:
        return "The recipe's container image is not in the site's profile ([software.images])."
    if image.startswith("-") or not image.isprintable():
        return f"The container image {image!r} has no usable name."
    for path in (*(bind.path for bind in binds), folder):
        if not path.is_absolute() or ".." in path.parts or path == PurePosixPath("/"):
            return f"The folder {path} cannot be shown to a container."
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in str(path)):
            return f"The folder {str(path)!r} cannot be shown to a container: its name has a control character."
        if runtime != "ch-run" and set(str(path)) & set(':,"\\'):
            return f"The folder {path} cannot be shown to a container: {runtime} takes no : , \" or \\ in its name."
    if runtime == "podman" and image.startswith("/") and (not image.endswith(".tar") or ":" in image):
        return (f"podman cannot run {image}: name an image that it knows, or an archive of one, whose name ends with"
                " .tar and has no colon.")
    if runtime == "ch-run" and any(":" in str(point) for point in mount_points(binds, folder)):
        return "The job's folders cannot be shown to a container: ch-run takes no : in the name of a mount point."
    return ""


def container_words(runtime: str, image: str, binds: Sequence[Bind], folder: PurePosixPath, *,
                    gpus: bool = False) -> str:
    """Shell words to put before ``python3 run.py parameters.json``; they run it in ``folder``, inside ``image``.

    Args:
        runtime, image, binds, folder: for which :func:`container_problem` has nothing to say.
        gpus: the job asked for graphics processors: they are shown to the container.

    Raises:
        ValueError: :func:`container_problem` would have said why.
    """
    if problem := container_problem(runtime, image, binds, folder):
        raise ValueError(problem)
    outside = "env " + " ".join(f"-u {name}" for name in _OUTSIDE)
    if runtime == "apptainer":
        words = ["apptainer", "exec", *(["--nv"] if gpus else []), *_pairs("--bind", binds),
                 "--pwd", str(folder), image]
    elif runtime == "podman":
        # The login session's runtime folder is in the job's environment, but not on its node.
        outside += ' $([ -d "${XDG_RUNTIME_DIR:-/}" ] || echo -u XDG_RUNTIME_DIR)'
        # Without cgroups of its own a container stays in those of the job, whose limits and end are its, too.
        words = ["podman", "run", "--rm", "--quiet", "--cgroups=disabled", "--log-driver=none", "--network=host",
                 "--userns=keep-id", "--security-opt=label=disable", "--env=BEAMSIDE_*", "--env=OMP_NUM_THREADS",
                 "--env=HOME", *(f"--env={name}" for name in _JOB_IDS),
                 *(["--device=nvidia.com/gpu=all"] if gpus else []), *_pairs("--volume", binds),
                 "--workdir", str(folder), f"docker-archive:{image}" if image.startswith("/") else image,
                 "sh", "-c", _FIRST_PROCESS, "beamside"]
    else:
        outside += ' USER="$(id -un)"'      # ch-run refuses to run without it
        points = [word for point in mount_points(binds, folder) for word in ("--bind", str(point))]
        words = ["ch-run", "--unset-env=LD_LIBRARY_PATH", *points, f"--cd={folder}", image, "--"]
    return f"{outside} {shlex.join(words)}"


def _pairs(option: str, binds: Sequence[Bind]) -> list[str]:
    return [word for bind in binds
            for word in (option, f"{bind.path}:{bind.path}:{'rw' if bind.writable else 'ro'}")]


def mount_points(binds: Sequence[Bind], folder: PurePosixPath) -> list[PurePosixPath]:
    """What ch-run is shown: it makes no mount points, so these are first folders, which an image can have (/data)."""
    return sorted({tree(path) for path in (*(bind.path for bind in binds), folder)})
