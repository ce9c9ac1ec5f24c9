"""A trial: the recipe's environment kept running, to answer questions about a small part while parameters are tuned.

The folder ``trial`` in the job's folder is all there is between the client and this loop, so that it survives a lost
link. The client appends lines to ``trial/questions``: ``{"n": 7, "parameters": {…}}``, or ``{"stop": true}``. Here
``trial/answer-7.h5`` is renamed into place, and a line is appended to ``trial/answers``: ``{"n": 7, "file": …,
"data_path": …, "seconds": …}``, or ``{"n": 7, "fault": "one sentence"}``; the very first line is ``{"ready": true}``.
Only the newest question is answered. Your function gets the `Task` with the question's parameters, writes into
``task.answer`` (an open h5py.File) and returns the path of the NXdata group in it. Whatever it keeps (in a variable of
its module) is there at the next question. Python 3.8, h5py.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

import h5py
from beamside_task import sentence, whole_file

LOOK_EVERY_S = 0.1
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
    _say(folder, {"ready": True})
    last = time.monotonic()
    while time.monotonic() - last < idle_s:
        asked = questions.new()
        if any(line.get("stop") for line in asked):
            return
        asked = [line for line in asked if isinstance(line.get("n"), int)]
        if not asked:
            time.sleep(LOOK_EVERY_S)
            continue
        number = asked[-1]["n"]
        task.parameters = dict(defaults, **(asked[-1].get("parameters") or {}))
        _say(folder, _answer(task, function, folder, number))
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
        os.write(number, line)
    finally:
        os.close(number)


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)
