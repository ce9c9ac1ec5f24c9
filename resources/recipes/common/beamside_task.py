"""The task a program was given, how it tells its progress, and how it ends.

Reads ``parameters.json``; writes the progress file, renamed into place and at most once a second. What goes wrong is
one sentence at the end of standard error, and exit code 1; a program that is told to stop ends with 143.
Python 3.8, standard library (h5py only where a file of it is passed in).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import getpass
import importlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time

PROGRESS_EVERY_S = 1.0
SCHEDULER_IDS = ("SLURM_JOB_ID", "JOB_ID", "PBS_JOBID", "LSB_JOBID")
_FULL = {errno.ENOSPC: "The disk is full", errno.EDQUOT: "Your quota at the facility is used up",
         errno.EROFS: "The folder cannot be written to: its file system is read-only"}
_ERRNO = re.compile(r"errno = (\d+)")


_NAMED = re.compile(r" \(([a-z][a-z0-9_]*)\)|“([a-z][a-z0-9_]*)”")
_titles = {}


class Fault(Exception):
    """What the user or the site can put right. Its text is one sentence that says what is wrong, where and what to do;
    it becomes the last line of the job's log, and is shown as the reason of its failure. A parameter may be named in it
    as ``“flats”`` or, behind words for it, as ``(flats)``: it is told by the title that it has in the form."""


class Task:
    """What this process is to do: one step of a job, or one task of a step that is an array.

    Attributes:
        parameters (dict): the values by the names in ``recipe.toml``, complete; ``None``: not set and no default.
        inputs (list of str): ``FILE`` or ``FILE::/path/in/it``.
        titles (dict): what each parameter is called in the form.
        job (dict): ``id``, ``name``, ``recipe``, ``version``, ``title``, ``site``.
        step (str): the name of the step; ``run`` if the recipe has no steps; ``trial`` in a trial.
        number, count (int): this is task ``number``, from 1, of ``count``; 1 of 1 where the step is no array.
        cpus (int): how many processors this task has.
        folder (str): of the job; also the working directory.
        answer (h5py.File): in a trial only: where the function writes its result.
    """

    def __init__(self, told, environment=os.environ):
        self.parameters = dict(told.get("parameters", {}))
        self.inputs = list(told.get("inputs", []))
        self.titles = dict(told.get("titles") or {})
        self.job = dict(told.get("job", {}))
        self.step = environment.get("BEAMSIDE_STEP") or "run"
        self.stem = environment.get("BEAMSIDE_STEM", "")
        self.number = int(environment.get("BEAMSIDE_TASK") or 1)
        self.count = int(environment.get("BEAMSIDE_TASKS") or 1)
        self.cpus = int(environment.get("BEAMSIDE_CPUS") or environment.get("OMP_NUM_THREADS") or 1)
        self.folder = environment.get("BEAMSIDE_FOLDER") or os.getcwd()
        self.answer = None
        self._progress = []

    def share(self, count):
        """The part of ``count`` items that is this task's: a range; the parts of all tasks follow each other, differ
        by one at most, and are all there is."""
        return range(count * (self.number - 1) // self.count, count * self.number // self.count)

    def progress(self, total, unit):
        """Start to tell that ``total`` of ``unit`` (for example ``frames``) are to be done: a `Progress`."""
        progress = Progress(total, unit, os.path.join(self.folder, f"progress{self.stem}.json"))
        self._progress.append(progress)
        return progress

    def tell(self):
        """Write the progress files as they stand now (``main`` does so at the end)."""
        for progress in self._progress:
            progress.write()


class Progress:
    """The task's progress file. ``step`` may be called for every item, from any thread; it costs next to nothing."""

    def __init__(self, total, unit, path):
        self.done, self.total, self.unit, self.path = 0, total, unit, path
        self._more, self._lock, self._written, self._warned = {}, threading.Lock(), 0.0, False
        self.write()

    @property
    def due(self):
        """Is it a second since the file was last written? Then a preview is worth the trouble."""
        return time.monotonic() - self._written >= PROGRESS_EVERY_S

    def step(self, count=1):
        """``count`` more are done."""
        self.done += count
        if self.due:
            self.write()

    def text(self, sentence):
        """What is being done, in a few words, shown beside the number."""
        self._more["text"] = sentence

    def preview(self, file, path):
        """There is something to look at: the node ``path`` in ``file`` below the job's folder. Write the file with
        `whole_file`, so that it is complete whenever it is read."""
        self._more["preview"] = f"{file}::{path}"

    def write(self):
        """Write the file now. A disk that is full does not end the analysis here: it is told once, in the log."""
        with self._lock:
            self._written = time.monotonic()
            said = dict(self._more, done=self.done, total=self.total, unit=self.unit, time=time.time())
            try:
                with whole_file(self.path) as part, open(part, "w", encoding="utf-8") as stream:
                    json.dump(said, stream)
            except OSError as error:
                if not self._warned:
                    print(f"The progress cannot be told: {sentence(error)}", file=sys.stderr)
                self._warned = True


@contextlib.contextmanager
def whole_file(path):
    """``with whole_file("result.h5") as part``: write to ``part``, which is renamed to ``path`` at the end of the block
    and removed if the block fails, so that a file of that name is always complete."""
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        if os.path.lexists(part):
            os.unlink(part)


def changed(place):
    """When the file of a place (``FILE[::/path]``) was last written, nanoseconds; ``None``: it is not there."""
    try:
        return os.stat(place.partition("::/")[0]).st_mtime_ns
    except OSError:
        return None


def now():
    """The time as ISO 8601 with the zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def write_provenance(entry, task, program, version, started, **more):
    """Write how a result came about: the NXprocess group ``process`` in the NXentry ``entry``.

    Args:
        entry (h5py.Group): of the result.
        task (Task): its recipe, version, job, inputs and parameters are kept, the last two as JSON.
        program, version (str): what computed it.
        started (str): from ``now()`` at the beginning.
        more: further fields: numbers, texts, arrays; dicts and lists are kept as JSON.

    Returns:
        h5py.Group: the new group.
    """
    group = entry.create_group("process")
    group.attrs["NX_class"] = "NXprocess"
    scheduler = next((os.environ[name] for name in SCHEDULER_IDS if os.environ.get(name)), "")
    said = {"program": program, "version": version, "date": now(), "recipe": task.job.get("recipe", ""),
            "recipe_version": task.job.get("version", ""), "job_id": task.job.get("id", ""),
            "scheduler_id": scheduler, "host": socket.gethostname(), "user": user(), "start_time": started,
            "end_time": now(), "inputs": json.dumps(task.inputs),
            "parameters": json.dumps(task.parameters, sort_keys=True)}
    said.update(more)
    for key, value in said.items():
        if isinstance(value, (dict, list, tuple)):
            value = json.dumps(value, default=str)
        group[key] = value
    return group


def user():
    """The name of the account; its number where the node does not know a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def main(steps, argv=None):
    """Do what ``parameters.json`` says, and end the process.

    Args:
        steps (dict): for each step of the recipe (``run`` if it has none, and ``trial``) a function that takes a
            `Task`, or ``"module:function"``.
        argv: for tests; else ``sys.argv``.
    """
    signal.signal(signal.SIGTERM, _stop)
    sys.excepthook, sys.unraisablehook = _but_hdf5(sys.excepthook), _but_hdf5(sys.unraisablehook)
    ended = _ended(steps, sys.argv if argv is None else argv)
    if isinstance(ended, str) and disk_is_full(ended):
        print(ended, file=sys.stderr, flush=True)
        os._exit(1)     # HDF5 would try to write its open files once more, and crash
    sys.exit(ended)


def disk_is_full(said):
    """Whether a sentence of `sentence` says that nothing can be written any more."""
    return said.startswith(tuple(_FULL.values()))


def _but_hdf5(hook):
    """``hook`` for all but what h5py says of each object it cannot close on a full disk: hundreds of lines."""
    def filtered(*told):
        error = told[1] if len(told) > 1 else told[0].exc_value
        if not (isinstance(error, (RuntimeError, OSError)) and _ERRNO.search(str(error))):
            hook(*told)
    return filtered


def _ended(steps, argv):
    task = None
    try:
        with open(argv[1] if len(argv) > 1 else "parameters.json", encoding="utf-8") as stream:
            task = Task(json.load(stream))
        _titles.update(task.titles)
        if task.step not in steps:
            raise Fault("The program of this recipe has no step “{}”; it has {}.".format(
                task.step, ", ".join(sorted(steps))))
        function = _function(steps[task.step])
        if task.step == "trial":
            import beamside_trial
            beamside_trial.answer_questions(task, function)
        else:
            function(task)
        return 0
    except (Fault, ImportError, MemoryError, OSError, RuntimeError) as error:
        said = sentence(error)
        if not said:
            raise
        sys.stdout.flush()
        return said
    finally:
        if task is not None:
            task.tell()


def _function(named):
    if callable(named):
        return named
    module, _, function = named.partition(":")
    return getattr(importlib.import_module(module), function)


def sentence(error):
    """What an error means, in one sentence; ``""`` for one that is a mistake in the program."""
    if isinstance(error, Fault):
        return _NAMED.sub(_with_title, str(error))
    if isinstance(error, MemoryError):
        return "The job's memory was not enough: ask for more."
    if isinstance(error, ImportError):
        if not error.name:
            return f"A Python package of this job cannot be used: {error}."
        return (f"{error.name} is not installed in this job's Python ({sys.executable}): the recipe's software"
                " environment in the site's profile has to provide it.")
    told = _ERRNO.search(str(error))        # HDF5 has it in its text
    number = int(told.group(1)) if told else getattr(error, "errno", None)
    if number in _FULL:
        return "{} ({}).".format(_FULL[number], getattr(error, "filename", None) or os.getcwd())
    if isinstance(error, OSError):
        said = error.strerror or str(error).strip().splitlines()[0]
        return f"{said}: {error.filename}" if error.filename else said
    return ""


def _with_title(named):
    title = _titles.get(named.group(1) or named.group(2))
    if not title:
        return named.group()
    if named.group(2):
        return f"“{title}”"
    said_already = named.string[:named.start()].lower().endswith(title.lower())
    return "" if said_already else f" (“{title}”)"


def _stop(_number, _frame):
    sys.exit(143)
