"""The command line (docs/cli.md): arguments in, one result out. No Qt; ``app.__main__`` opens windows.

Runs on the main thread; everything that talks runs on threads of ``remote``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from app import __version__, settings
from app.commands.context import Context
from app.commands.data import run_get, run_ls, run_plot, run_tree
from app.commands.doctor import run_doctor
from app.commands.facility import run_facility
from app.commands.jobs import run_cancel, run_hold, run_job, run_jobs, run_release
from app.commands.output import Output, escape_what_the_terminal_has_not, leave_standard_output
from app.commands.recipes import run_recipes
from app.commands.sites import run_sign_in, run_sign_out, run_sites
from app.commands.stack import PROFILE_NUMBERS, run_profile, run_project
from app.commands.submitting import run_resubmit, run_submit
from app.errors import BeamsideError, CancelledByUserError, UsageError
from app.model.data import Reduction
from app.model.stack import StackOperation
from app.remote import proxies, trust
from app.remote.sites import Sites

_VALUES_WITH_DASHES = ("--select", "--set", "--point", "--roi")
Command = Callable[[argparse.Namespace, Context], int]


@dataclass(frozen=True)
class WindowWanted:
    """What ``app.__main__`` is to open: the window, on a target or on the demo facility."""

    target: str = ""
    demo: bool = False


def main(argv: Sequence[str]) -> int | WindowWanted:
    """Run one command.

    Returns:
        The exit code, or the window that was asked for.
    """
    as_json = "--json" in argv
    debug = "--debug" in argv
    output = Output(as_json)
    escape_what_the_terminal_has_not()
    if not debug and not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())   # else Python writes warnings to standard error
    try:
        with _interrupted_by_signals():
            return _run(argv, output)
    except BeamsideError as error:
        if debug:
            traceback.print_exc()
        output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        output.error(CancelledByUserError("Interrupted."))
        return CancelledByUserError.exit_code
    except BrokenPipeError:
        leave_standard_output()
        return 0
    except Exception as error:   # a bug: told once, never as a traceback first
        if debug:
            traceback.print_exc()
        output.error(BeamsideError("Something went wrong inside Beamside.", f"{type(error).__name__}: {error}",
                                   "Run it again with --debug and send the output to the developers."))
        return BeamsideError.exit_code


def _run(argv: Sequence[str], output: Output) -> int | WindowWanted:
    arguments = _parser().parse_args(_joined(argv))
    if getattr(arguments, "config", None):
        os.environ["BEAMSIDE_CONFIG_DIR"] = os.path.abspath(arguments.config)
    command = getattr(arguments, "command", None)
    if command is None:
        return WindowWanted()
    if command == "open":
        return WindowWanted(target=arguments.target)
    if command == "demo":
        return WindowWanted(demo=True)
    if command == "facility":
        return run_facility(arguments)
    stored = settings.load()
    proxies.choose(stored.proxy)
    trust.choose_stored(stored.ca_file)
    sites = Sites(accepted_fingerprints=frozenset(getattr(arguments, "accept_host_key", None) or ()))
    with Context(sites, output) as context:
        run: Command = arguments.run
        return run(arguments, context)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl+C does: connections and half-written files are cleared."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None))
               if number is not None and signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _joined(argv: Sequence[str]) -> list[str]:
    """``--select -1,:`` as ``--select=-1,:``: argparse takes a value that begins with a dash for an option."""
    out: list[str] = []
    for word in argv:
        if out and out[-1] in _VALUES_WITH_DASHES:
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", remedy=f"See: {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    common.add_argument("--config", metavar="DIR", help="use this configuration folder")
    common.add_argument("--accept-host-key", metavar="SHA256:…", action="append",
                        help="trust the server with this fingerprint")
    parser = _Parser(prog="beamside", parents=[common], description="Analyse light-source data where it lies. "
                     "Without a command the window opens. TARGET is [SITE:]FILE[::/data/path].")
    parser.add_argument("--version", action="version", version=f"beamside {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, run: Command | None, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=run)
        return command

    _add_data_commands(add)
    _add_stack_commands(add)
    _add_site_commands(add)
    _add_job_commands(add)
    facility = add("facility", None, "run the demo facility in the foreground").add_subparsers(
        dest="action", required=True, parser_class=_Parser)
    start = facility.add_parser("start", parents=[common])
    start.add_argument("--state", metavar="DIR")
    start.add_argument("--option", metavar="key=value", action="append", default=[])
    add("demo", None, "start the demo facility and open the window on it")
    add("open", None, "open the window on TARGET").add_argument("target", metavar="TARGET")
    return parser


def _add_data_commands(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    add("ls", run_ls, "list a folder").add_argument("target", metavar="TARGET", nargs="?", default=".")
    tree = add("tree", run_tree, "list the nodes of an HDF5 file")
    tree.add_argument("target", metavar="TARGET")
    tree.add_argument("--depth", type=_natural, metavar="N")
    plot = add("plot", run_plot, "say what a file asks to be shown as")
    plot.add_argument("target", metavar="TARGET")
    plot.add_argument("--png", metavar="OUT", help="also draw it")
    get = add("get", run_get, "read numbers into a .npy file")
    get.add_argument("target", metavar="TARGET")
    get.add_argument("--select", metavar="INDEX", help='a numpy index such as "3,:,10:20"')
    get.add_argument("--fit", metavar="HEIGHTxWIDTH", help="pool the last two axes to this size")
    get.add_argument("--reduce", choices=[r.value for r in Reduction], default=Reduction.MAX.value)
    get.add_argument("-o", "--output", metavar="OUT.npy", required=True)


def _add_stack_commands(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    profile = add("profile", run_profile, "follow a pixel or a region through all frames of a stack")
    profile.add_argument("target", metavar="TARGET")
    profile.add_argument("--point", metavar="Y,X", help="one pixel")
    profile.add_argument("--roi", metavar="Y0:Y1,X0:X1", help="a region")
    profile.add_argument("--number", choices=PROFILE_NUMBERS, default=PROFILE_NUMBERS[0],
                         help="what to write of the region in each frame (valid: how many pixels)")
    profile.add_argument("-o", "--output", metavar="OUT.npy", required=True)
    project = add("project", run_project, "reduce all frames of a stack to one")
    project.add_argument("target", metavar="TARGET")
    project.add_argument("--op", choices=[operation.value for operation in StackOperation], required=True)
    project.add_argument("-o", "--output", metavar="OUT.npy", required=True)


def _add_site_commands(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    sites = add("sites", run_sites, "list, add, remove, show, export or clean sites")
    sites.set_defaults(action="list", what=None)
    actions = sites.add_subparsers(dest="action", parser_class=_Parser, required=False)
    for action, what in (("add", "FILE"), ("remove", "NAME"), ("show", "NAME"), ("export", "NAME"),
                         ("clean", "NAME")):
        parser = actions.add_parser(action, argument_default=argparse.SUPPRESS)
        parser.add_argument("what", metavar=what)
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--debug", action="store_true")
        parser.add_argument("--config", metavar="DIR")
        if action == "export":
            parser.add_argument("-o", "--output", metavar="FILE.toml", default="",
                                help="write it there rather than to standard output")
    sign_in = add("sign-in", run_sign_in, "sign in at a site")
    sign_in.add_argument("site", metavar="SITE")
    sign_in.set_defaults(way="")
    ways = sign_in.add_mutually_exclusive_group()
    ways.add_argument("--browser", dest="way", action="store_const", const="browser",
                      help="in this computer's browser")
    ways.add_argument("--code", dest="way", action="store_const", const="code",
                      help="with a code, on any device (the default)")
    sign_out = add("sign-out", run_sign_out, "revoke and forget the sign-in")
    sign_out.add_argument("site", metavar="SITE")
    add("doctor", run_doctor, "find out what stands between here and a site's data").add_argument("site",
                                                                                                 metavar="SITE")
    sign_out.add_argument("--everywhere", action="store_true",
                          help="for all sites that use it, and in the sign-in service itself")


def _add_job_commands(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    add("recipes", run_recipes, "list the recipes, and what a site has of their software").add_argument(
        "site", metavar="SITE", nargs="?")
    submit = add("submit", run_submit, "submit an analysis")
    submit.add_argument("recipe", metavar="RECIPE")
    submit.add_argument("targets", metavar="TARGET", nargs="+")
    _add_wishes(submit)
    again = add("resubmit", run_resubmit, "submit a job once more, with changes")
    again.add_argument("id", metavar="ID")
    again.add_argument("--failed", action="store_true", help="only the parts that failed; the others are taken over")
    _add_wishes(again)
    add("jobs", run_jobs, "list your jobs").add_argument("site", metavar="SITE", nargs="?")
    job = add("job", run_job, "show one job")
    job.add_argument("id", metavar="ID")
    job.add_argument("--log", action="store_true", help="with the end of its log")
    job.add_argument("--step", metavar="NAME", help="with the end of the log of this step")
    job.add_argument("--task", type=_positive, metavar="N", help="with the end of the log of this task")
    job.add_argument("--details", action="store_true", help="with all that is known of it")
    add("cancel", run_cancel, "cancel a job").add_argument("id", metavar="ID")
    add("hold", run_hold, "keep a waiting job from starting").add_argument("id", metavar="ID")
    add("release", run_release, "let a held job start").add_argument("id", metavar="ID")


def _add_wishes(command: argparse.ArgumentParser) -> None:
    """What may be asked of a job that is submitted."""
    command.add_argument("--set", metavar="key=value", action="append", default=[])
    command.add_argument("--partition", metavar="P")
    command.add_argument("--time", type=_positive, metavar="MIN")
    command.add_argument("--account", metavar="A")
    command.add_argument("--tasks", type=_positive, metavar="N", help="into how many tasks it is divided")
    command.add_argument("--after", metavar="ID", action="append", default=[],
                         help="start when this job has completed; may be given again")
    command.add_argument("--hold", action="store_true", help="submit it held, until it is released")
    command.add_argument("--name", metavar="NAME")
    command.add_argument("--anyway", action="store_true", help="even if the data is damaged or of no use to the recipe")
    command.add_argument("--dry-run", action="store_true", help="only show what would be submitted")
    command.add_argument("--wait", action="store_true", help="wait for the end of the job")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
