"""Reads what ``sbatch`` was given, command line and ``#SBATCH`` lines, and refuses it in Slurm's words. No state."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.facility.batch import arguments
from app.facility.batch.arguments import CommandRefusedError, Given
from app.facility.batch.cluster import ACCOUNTS, Cluster, partition
from app.facility.batch.times import parse_limit

_MOST_TASKS = 1001

OPTIONS = arguments.Options(
    values={"job-name": "J", "partition": "p", "time": "t", "cpus-per-task": "c", "mem": "", "mem-per-cpu": "",
            "account": "A", "output": "o", "error": "e", "chdir": "D", "array": "a", "dependency": "d", "comment": "",
            "export": "", "nodes": "N", "ntasks": "n", "ntasks-per-node": "", "open-mode": "",
            "kill-on-invalid-dep": "", "qos": "q", "gres": "", "gpus": "G", "constraint": "C", "mail-type": "",
            "mail-user": "", "wrap": "", "signal": "", "reservation": "", "input": "i", "licenses": "L", "time-min": "",
            "clusters": "M", "nodelist": "w", "exclude": "x", "hint": "", "threads-per-core": "", "wckey": "",
            "priority": "", "gpus-per-node": "", "gpus-per-task": "", "cpus-per-gpu": "", "mem-per-gpu": "", "tmp": "",
            "export-file": "", "begin": "b"},
    flags={"parsable": "", "hold": "H", "test-only": "", "wait": "W", "quiet": "Q", "verbose": "v", "requeue": "",
           "no-requeue": "", "oversubscribe": "s", "contiguous": "", "spread-job": "", "overcommit": "O",
           "ignore-pbs": "", "use-min-nodes": ""},
    maybe=frozenset({"nice", "exclusive", "get-user-env"}))


class InputNeededError(Exception):
    """The script is on the command's standard input, which was not sent yet."""


@dataclass(frozen=True)
class Submission:
    """A job as asked for. ``tasks``: array indices, or ``None``; ``cpus_per_task``, ``ntasks``: 0 when not given."""

    script: str
    name: str
    partition: str
    account: str
    limit_min: float
    cpus: int
    memory_mb: int | None
    workdir: str
    stdout: str
    stderr: str
    append: bool
    tasks: tuple[int, ...] | None
    array: str
    throttle: int
    dependency: str
    kill_on_invalid_dependency: bool
    held: bool
    comment: str
    environment: dict[str, str]
    cpus_per_task: int = 0
    ntasks: int = 0
    arguments: list[str] = field(default_factory=list)
    parsable: bool = False
    quiet: bool = False
    test_only: bool = False
    wait: bool = False
    submit_line: str = ""


def failed(test_only: bool) -> str:
    """How a refusal begins."""
    return "allocation failure: " if test_only else "sbatch: error: Batch job submission failed: "


def read_submission(argv: Sequence[str], stdin: str | None, cwd: str, environment: Mapping[str, str],
                    cluster: Cluster) -> Submission:
    """Everything ``sbatch`` checks before it hands out a number.

    Raises:
        CommandRefusedError: with Slurm's text.
        InputNeededError: ``stdin`` is ``None`` and holds the script.
    """
    given = arguments.read("sbatch", argv, OPTIONS, stop_at_first=True)
    script, name = _script(given, stdin, cwd)
    merged = _directives(script)
    merged.options.update(given.options)
    refused = failed("test-only" in merged)
    chosen = partition(merged.get("partition"))
    if chosen is None:
        raise CommandRefusedError(f"sbatch: error: invalid partition specified: {merged.get('partition')}\n"
                                  f"{refused}Invalid partition name specified")
    if merged.get("account", ACCOUNTS[0]) not in ACCOUNTS:
        raise CommandRefusedError(f"{refused}Invalid account or account/partition combination specified")
    limit = parse_limit(merged.get("time")) if "time" in merged else chosen.default_min
    if limit is None:
        raise CommandRefusedError("sbatch: error: Invalid --time specification", 255)
    per_task, ntasks = _cpus(merged, cluster)
    cpus = per_task * ntasks
    tasks, throttle = _tasks(merged)
    workdir = os.path.join(cwd, merged.get("chdir")) if "chdir" in merged else cwd
    stdout = merged.get("output") or ("slurm-%A_%a.out" if tasks is not None else "slurm-%j.out")
    return Submission(
        script=script, name=merged.get("job-name") or name, partition=chosen.name,
        account=merged.get("account", ACCOUNTS[0]), limit_min=limit, cpus=cpus,
        cpus_per_task=per_task if "cpus-per-task" in merged else 0, ntasks=ntasks if "ntasks" in merged else 0,
        memory_mb=_memory(merged, cpus, cluster), workdir=workdir, stdout=stdout,
        stderr=merged.get("error") or stdout, append=merged.get("open-mode").startswith("a"), tasks=tasks,
        array=merged.get("array"), throttle=throttle, dependency=merged.get("dependency"),
        kill_on_invalid_dependency=merged.get("kill-on-invalid-dep").lower() == "yes", held="hold" in merged,
        comment=merged.get("comment"), environment=_exported(merged.get("export"), environment),
        arguments=given.rest[1:], parsable="parsable" in merged, quiet="quiet" in merged,
        test_only="test-only" in merged, wait="wait" in merged, submit_line=shlex.join(["sbatch", *argv]))


def _script(given: Given, stdin: str | None, cwd: str) -> tuple[str, str]:
    if "wrap" in given:
        if given.rest:
            raise CommandRefusedError("sbatch: error: Script arguments not permitted with --wrap option")
        return f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{given.get('wrap')}\n", "wrap"
    if given.rest:
        path = os.path.join(cwd, given.rest[0])
        name = os.path.basename(path)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                text = file.read()
        except OSError:
            raise CommandRefusedError(f"sbatch: error: Unable to open file {given.rest[0]}") from None
    elif stdin is None:
        raise InputNeededError
    else:
        name, text = "sbatch", stdin
    if not text.strip():
        raise CommandRefusedError("sbatch: error: Batch script is empty!")
    if not text.startswith("#!"):
        raise CommandRefusedError("sbatch: error: This does not look like a batch script.  The first\n"
                                  "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
                                  "sbatch: error: For instance: #!/bin/sh")
    if "\r\n" in text:
        raise CommandRefusedError("sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
                                  "sbatch: error: instead of expected UNIX line breaks (\\n).")
    return text, name


def _directives(script: str) -> Given:
    """The ``#SBATCH`` lines before the first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            try:
                words += shlex.split(line[len("#SBATCH"):], comments=True)
            except ValueError:
                raise CommandRefusedError(f"sbatch: error: Invalid directive found in batch script: {line}") from None
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    given = arguments.read("sbatch", words, OPTIONS, stop_at_first=True)
    if given.rest:
        raise CommandRefusedError(f"sbatch: error: Invalid directive found in batch script: {given.rest[0]}")
    return given


def _cpus(given: Given, cluster: Cluster) -> tuple[int, int]:
    """CPUs per task, and tasks."""
    numbers = []
    for name in ("cpus-per-task", "ntasks"):
        text = given.get(name, "1")
        if not re.fullmatch(r"[1-9]\d{0,5}", text):
            raise CommandRefusedError(f"sbatch: error: Invalid numeric value \"{text}\" for --{name}.")
        numbers.append(int(text))
    nodes = given.get("nodes", "1").split("-")[0]
    if nodes != "1" or any(g in given for g in ("constraint", "nodelist", "reservation")):
        raise CommandRefusedError(f"{failed('test-only' in given)}Requested node configuration is not available")
    if any(g in given for g in ("gres", "gpus", "gpus-per-node", "gpus-per-task")):
        raise CommandRefusedError("sbatch: error: Invalid generic resource (gres) specification")
    if numbers[0] * numbers[1] > cluster.slots:
        raise CommandRefusedError("sbatch: error: CPU count per node can not be satisfied\n"
                                  f"{failed('test-only' in given)}Requested node configuration is not available")
    return numbers[0], numbers[1]


def _memory(given: Given, cpus: int, cluster: Cluster) -> int | None:
    for name, times in (("mem", 1), ("mem-per-cpu", cpus)):
        text = given.get(name)
        if not text or text == "0":
            continue
        match = re.fullmatch(r"(\d{1,9})\s*([KMGT]?)B?", text, re.IGNORECASE)
        if match is None:
            raise CommandRefusedError(f"sbatch: error: Invalid --{name} specification", 255)
        scale = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2}[match[2].upper()]
        megabytes = max(1, round(int(match[1]) * scale)) * times
        if megabytes > cluster.memory_mb:
            raise CommandRefusedError("sbatch: error: Memory specification can not be satisfied\n"
                                      f"{failed('test-only' in given)}Requested node configuration is not available")
        return megabytes
    return None


def _tasks(given: Given) -> tuple[tuple[int, ...] | None, int]:
    text = given.get("array")
    if not text:
        return None, 0
    refusal = CommandRefusedError(f"{failed('test-only' in given)}Invalid job array specification")
    body, _, limit = text.partition("%")
    if limit and not re.fullmatch(r"[1-9]\d{0,5}", limit):
        raise refusal
    tasks: set[int] = set()
    for part in body.split(","):
        match = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7})(?::([1-9]\d{0,6}))?)?", part)
        if match is None:
            raise refusal
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > 4_000_000 or (last - first) // int(match[3] or 1) >= _MOST_TASKS:
            raise refusal
        tasks.update(range(first, last + 1, int(match[3] or 1)))
    if len(tasks) > _MOST_TASKS:
        raise refusal
    return tuple(sorted(tasks)), int(limit or 0)


def _exported(export: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the script finds of the submitter's environment (sbatch(1), ``--export``)."""
    essential = {k: v for k, v in environment.items() if k in ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG",
                                                                 "BEAMSIDE_DEMO_STATE")}
    if not export or export.upper() == "ALL":
        return dict(environment)
    chosen = essential
    for item in export.split(","):
        name, sep, value = item.partition("=")
        if item.upper() == "ALL":
            chosen = dict(environment) | chosen
        elif sep:
            chosen[name] = value
        elif name in environment:
            chosen[name] = environment[name]
    return chosen
