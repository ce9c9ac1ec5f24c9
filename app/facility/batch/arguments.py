"""Reads the arguments of Slurm's commands as they do themselves, and their refusals. Pure functions."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from dataclasses import dataclass, field


class CommandRefusedError(Exception):
    """The command ends with a message on standard error and this exit code."""

    def __init__(self, message: str, rc: int = 1) -> None:
        super().__init__(message)
        self.rc = rc


@dataclass(frozen=True)
class Options:
    """Which options a command has: long name → short letter (``""``: none); ``flags`` take no value.

    ``maybe``: long options whose value may be left out (``--nice[=N]``).
    """

    values: dict[str, str]
    flags: dict[str, str]
    maybe: frozenset[str] = frozenset()


@dataclass
class Given:
    """The options given (long name → last value, ``""`` for flags) and what is left."""

    options: dict[str, str] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.options

    def get(self, name: str, default: str = "") -> str:
        return self.options.get(name, default)


def read(command: str, argv: Sequence[str], options: Options, *, stop_at_first: bool = False) -> Given:
    """Sort the arguments.

    Raises:
        CommandRefusedError: an option is not known or lacks its value.
    """
    shorts = "".join(f"{s}:" for s in options.values.values() if s) + "".join(s for s in options.flags.values() if s)
    longs = [f"{n}=" for n in options.values] + list(options.flags) + [f"{n}=" for n in options.maybe]
    prepared = [f"{a}=" if a.startswith("--") and a[2:] in options.maybe else a for a in argv]
    try:
        pairs, rest = (getopt.getopt if stop_at_first else getopt.gnu_getopt)(prepared, shorts, longs)
    except getopt.GetoptError as error:
        raise CommandRefusedError(_complaint(command, error), 255 if command == "sbatch" else 1) from None
    by_letter = {s: n for n, s in {**options.values, **options.flags}.items() if s}
    given = Given(rest=rest)
    for name, value in pairs:
        long = name[2:] if name.startswith("--") else by_letter[name[1:]]
        given.options[long] = value
    return given


def _complaint(command: str, error: getopt.GetoptError) -> str:
    name = error.opt or ""
    if "requires argument" in error.msg:
        text = (f"option '--{name}' requires an argument" if len(name) > 1
                else f"option requires an argument -- '{name}'")
    elif "not a unique prefix" in error.msg:
        text = f"option '--{name}' is ambiguous"
    else:
        text = f"unrecognized option '--{name}'" if len(name) > 1 else f"invalid option -- '{name}'"
    return f"{command}: {text}" + ("" if command == "sacct" else f"\nTry \"{command} --help\" for more information")
