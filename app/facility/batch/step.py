"""Runs one batch script and tells how it ended. A process of its own: ``python -I -S step.py``, stdlib only.

The first line on standard input says what to run, later ones are signals to send (``15``). When standard input closes
(the facility is gone) the script is ended: no job outlives the demo. Reports JSON lines: ``{"pid"}``, then the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

_KILL_WAIT_S = 2.0
_WRITE = os.O_WRONLY | os.O_CREAT


def main() -> int:
    """Run it."""
    specification = json.loads(sys.stdin.readline())
    try:
        outputs = _open_outputs(specification)
    except OSError as error:
        _report({"failed": "output", "text": str(error)})
        return 0
    folder = specification["cwd"]
    if not os.path.isdir(folder):
        os.write(outputs[1], f"slurmstepd: error: couldn't chdir to `{folder}': No such file or directory: going to "
                             "/tmp instead\n".encode())
        folder = "/tmp"
    try:
        child = subprocess.Popen(specification["argv"], cwd=folder, env=specification["env"], stdin=subprocess.DEVNULL,
                                 stdout=outputs[0], stderr=outputs[1], start_new_session=True)
    except OSError as error:
        interpreter = specification["interpreter"]
        os.write(outputs[1], f"slurmstepd: error: execve(): {error.strerror}: {interpreter}\n".encode())
        _report({"failed": "start", "text": str(error)})
        return 0
    _report({"pid": child.pid})
    threading.Thread(target=_obey, args=(child.pid,), daemon=True).start()
    _, status, used = os.wait4(child.pid, 0)
    _kill(child.pid, signal.SIGKILL)
    _report({"exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
             "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "max_rss_kb": used.ru_maxrss})
    sys.stdout.flush()
    os._exit(0)


def _open_outputs(specification: dict[str, object]) -> tuple[int, int]:
    mode = _WRITE | (os.O_APPEND if specification["append"] else os.O_TRUNC)
    out = os.open(str(specification["stdout"]), mode | os.O_APPEND, 0o644)
    if specification["stderr"] == specification["stdout"]:
        return out, out
    return out, os.open(str(specification["stderr"]), mode | os.O_APPEND, 0o644)


def _obey(pid: int) -> None:
    for line in sys.stdin:
        _kill(pid, int(line))
    _kill(pid, signal.SIGTERM)
    time.sleep(_KILL_WAIT_S)
    _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        return


def _report(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
