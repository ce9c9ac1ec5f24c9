"""A trial: the recipe's environment kept running, to answer questions about a small part while parameters are tuned.

The folder ``trial`` in the job's folder is all there is between the client and this loop, so that it survives a lost
link. The client appends lines to ``trial/questions``: ``{"n": 7, "parameters": {…}}``, or ``{"stop": true}``. Here
``trial/answer-7.h5`` is renamed into place, and a line is appended to ``trial/answers``: ``{"n": 7, "file": …,
"data_path": …, "seconds": …}``, or ``{"n": 7, "fault": "one sentence"}``; the very first line is ``{"ready": true}``.
Only the newest question is answered. Your function gets the `Task` with the question's parameters, writes into
``task.answer`` (an open h5py.File) and returns the path of the NXdata group in it. Whatever it keeps (in a variable of
its module) is there at the next question, unless an input file was written to meanwhile or the disk was full: then the
program begins anew, in the same process, with the question that waits. Python 3.8, h5py.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

import h5py
from beamside_task import disk_is_full, sentence, whole_file

LOOK_EVERY_S = 0.1
MOST_INPUTS = 200       # are looked at before each question
KEPT_ANSWERS = 4
IDLE_MIN = 10.0


def answer_questions(task, function):
    """Answer until ``{"stop": true}`` comes, or no question for ``idle_min`` minutes (of the job in
    ``parameters.json``; 10 if it says nothing)."""
    folder = os.path.join(task.folder, "trial")
    os.makedirs(folder, exist_ok=True)
    questions = _Lines(os.path.join(folder, "questions"))
    idle_s = 60.0 * float(task.job.get("idle_min") or IDLE_MIN)
    defaults, kept = task.parameters, []
    answered = {line["n"] for line in _Lines(os.path.join(folder, "answers")).new() if isinstance(line.get("n"), int)}
    written = _written(task.inputs)
    _say(folder, {"ready": True})
    last = time.monotonic()
    while time.monotonic() - last < idle_s:
        asked = questions.new()
        if any(line.get("stop") for line in asked):
            return
        asked = [line for line in asked if isinstance(line.get("n"), int)]
        if not asked or asked[-1]["n"] in answered:
            time.sleep(LOOK_EVERY_S)
            continue
        if _written(task.inputs) != written:
            _begin_anew(task)
        number = asked[-1]["n"]
        task.parameters = dict(defaults, **(asked[-1].get("parameters") or {}))
        answer = _answer(task, function, folder, number)
        _say(folder, answer)
        if disk_is_full(answer.get("fault", "")):       # HDF5 cannot let go of the file, and would crash in the end
            _begin_anew(task)
        kept.append(number)
        for old in kept[:-KEPT_ANSWERS]:
            _remove(os.path.join(folder, f"answer-{old}.h5"))
        kept = kept[-KEPT_ANSWERS:]
        last = time.monotonic()


def _answer(task, function, folder, number):
    started = time.monotonic()
    name = f"answer-{number}.h5"
    try:
        with whole_file(os.path.join(folder, name)) as part, h5py.File(part, "w") as task.answer:
            task.answer.attrs["NX_class"] = "NXroot"
            path = function(task)
    except Exception as error:
        said = sentence(error)
        if not said:        # a mistake in the recipe: the log says where
            traceback.print_exc()
            sys.stderr.flush()
            said = f"The recipe failed on these parameters: {type(error).__name__}: {error}"
        return {"n": number, "fault": said}
    finally:
        task.answer = None
    return {"n": number, "file": "trial/" + name, "data_path": path,
            "seconds": round(time.monotonic() - started, 3)}


def _written(inputs):
    """When each input file was last written, as its file system says; ``None``: it is not there."""
    told = []
    for name in inputs[:MOST_INPUTS]:
        try:
            found = os.stat(name.partition("::/")[0])
            told.append((found.st_ino, found.st_size, found.st_mtime_ns))
        except OSError:
            told.append(None)
    return told


def _begin_anew(task):
    """Run this program from its beginning, in the same process: nothing that was kept or opened is left."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(task.folder)
    os.closerange(3, 4096)
    os.execv(sys.executable, [sys.executable] + sys.argv)


class _Lines:
    """The complete lines that were appended to a file since the last look; it is opened anew at each one, so that a
    client of a network file system sees what another has written."""

    def __init__(self, path):
        self.path, self.offset = path, 0

    def new(self):
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                text = stream.read()
        except FileNotFoundError:
            return []
        complete = text[:text.rfind(b"\n") + 1]
        self.offset += len(complete)
        out = []
        for line in complete.splitlines():
            try:
                said = json.loads(line.decode("utf-8"))
            except ValueError:
                print(f"A question is no JSON and is left out: {line[:200]!r}", file=sys.stderr)
                continue
            if isinstance(said, dict):
                out.append(said)
        return out


def _say(folder, answer):
    line = (json.dumps(answer) + "\n").encode("utf-8")
    number = os.open(os.path.join(folder, "answers"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        while line:         # a disk that is full may take a part
            line = line[os.write(number, line):]
    finally:
        os.close(number)


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)
