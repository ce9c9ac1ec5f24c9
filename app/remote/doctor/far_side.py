"""What a site is like behind the login: shell, start-up noise, Pythons, data roots, clock, space, batch system.

All over one transport; blocks. Every command is constant text, what it looks at travels as arguments, and none of them
changes anything at the site.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from app.errors import AgentError, DataError, LinkError, NotFoundError, StorageFullError
from app.model.site import SiteProfile
from app.model.units import bytes_text
from app.remote.deploy import python_command
from app.remote.doctor.board import Found, failed, passed, skipped, warned
from app.remote.doctor.signing_in import skew_found
from app.remote.jobs.batch_system import BatchSystem
from app.remote.seams import ByteStream, CommandResult, Transport

COMMAND_S = 30.0
LEAST_FREE_BYTES = 20 * 10**6
LOW_BYTES = 200 * 10**6
_MOST_NOISE = 1_000_000
_HARMLESS_NOISE = 64 * 1024        # what the agent's start looks through for its marker
_SHOWN_NOISE = 300
_TRICKY = "it's \\ $HOME `id` \"!x\" * é\nnext"
_MARK = b"\x1edoctor\x1e"
_PYTHON = """
import json, os, sys
found = {"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable}
try:
    import h5py, numpy
except Exception:
    try:
        start = "private-%d.%d-%s-" % (sys.version_info[:2] + (os.uname()[4],))
        places = [os.path.join(sys.argv[2], n) for n in sorted(os.listdir(sys.argv[2])) if n.startswith(start)][-1:]
    except OSError:
        places = []
    sys.path[:0] = places
    found["private"] = "".join(places)
for name in ("numpy", "h5py", "hdf5plugin"):
    try:
        found[name] = getattr(__import__(name), "__version__", "") or getattr(__import__(name), "version", "?")
    except Exception as error:
        found[name] = ""
        found[name + " problem"] = "%s: %s" % (type(error).__name__, error)
sys.stdout.write("\\036%s %s\\037\\n" % (sys.argv[1], json.dumps(found)))
"""
_ROOTS = r"""
word=$1; shift
limit() { if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$@"; else shift; "$@"; fi; }
for root in "$@"; do
  if limit 10 test -d "$root"; then
    if limit 10 test -r "$root" -a -x "$root"; then
      state=readable; count=$(limit 10 ls -f "$root" 2>/dev/null | head -n 1003 | wc -l)
    else state=closed; count=0; fi
  elif limit 10 test -e "$root"; then state=file; count=0
  else state=missing; count=0; fi
  printf '\036%s %s %s\037\n' "$word" "$state" "$count"
done
"""
_SPACE = r"""
word=$1; place=$2
limit() { if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$@"; else shift; "$@"; fi; }
there=$place
while [ ! -e "$there" ] && [ "$there" != / ] && [ -n "$there" ]; do there=$(dirname "$there"); done
if [ -w "$there" ]; then may=yes; else may=no; fi
free=$(limit 15 df -Pk "$there" 2>/dev/null | awk 'NR==2 {print $4}')
over=$(limit 10 quota -q 2>/dev/null | head -n 5 | tr '\n' ' ')
printf '\036%s %s %s %s\037\036%s %s\037\n' "$word" "$may" "${free:--}" "$there" "$word" "$over"
"""
_CLOCK = "printf '\\036%s %s\\037\\n' \"$1\" \"$(date +%s)\""
_SCHEDULERS = ("for name in sinfo qstat bjobs condor_q; do command -v $name >/dev/null 2>&1 && "
               "printf '\\036%s %s\\037\\n' \"$1\" $name; done; true")
_SYSTEMS = {"sinfo": "Slurm", "qstat": "PBS or Grid Engine", "bjobs": "LSF", "condor_q": "HTCondor"}


def look_at_noise(transport: Transport, opened: list[ByteStream]) -> Found:
    """How much start-up files print before a command's own output.

    Args:
        opened: gets the streams that closing ends.
    """
    mark = "printf '\\036doctor\\036'"
    stream = transport.start(["sh", "-c", f"{mark}; {mark} >&2"])
    opened.append(stream)
    errors: list[bytes] = []
    drain = threading.Thread(target=lambda: errors.append(_until_mark(stream.read_error)), name="doctor-stderr",
                             daemon=True)
    drain.start()
    output = _until_mark(stream.read)
    drain.join(COMMAND_S)
    stream.close()
    noise = [data.partition(_MARK) for data in (output, *errors)]
    if not noise[0][1]:
        return failed(LinkError("The login shell does not run commands.", _shown(noise[0][0]),
                                "The account may not be allowed to run commands, or its start-up files wait for "
                                "something. Ask the facility."))
    count, silent = len(noise[0][0]), len(noise[1][0]) if len(noise) > 1 else 0
    shown = "\n".join(filter(None, (_shown(part[0]) for part in noise)))
    if count > _HARMLESS_NOISE:
        return failed(LinkError(f"The start-up files of the account print {count} bytes before every command.", shown,
                                "Let them print only in interactive shells: put “case $- in *i*) ;; *) return;; esac” "
                                "at the top of ~/.bashrc there."))
    if count or silent:
        many = count + silent
        return warned(f"The start-up files of the account print {many} byte{'s' if many != 1 else ''} before every "
                      "command.", shown, "Beamside copes with it, other programs (scp, rsync) may not: put “case $- in "
                      "*i*) ;; *) return;; esac” at the top of ~/.bashrc there.")
    return passed("Nothing is printed before a command's own output.")


def look_at_shell(transport: Transport) -> Found:
    """Which login shell it is, and whether commands pass it unchanged."""
    script = "printf '%s\\037%s' \"$SHELL\" \"$1\""
    result = transport.run(["sh", "-c", script, "doctor", _TRICKY], timeout_s=COMMAND_S)
    shell, separator, came = result.stdout.partition(b"\x1f")
    name = shell.decode("utf-8", "replace") or "the login shell"
    if not separator or came != _TRICKY.encode():
        return failed(LinkError("The login shell changes the commands that are sent to it.",
                                f"{name}\n{result.error_text[-500:]}\n{_shown(came)}",
                                "Beamside needs a POSIX shell such as bash as the login shell of the account: change "
                                "it there (chsh), or ask the facility."))
    return passed(f"The login shell is {name}; commands arrive unchanged.")


def look_at_pythons(transport: Transport, profile: SiteProfile) -> Found:
    """Each Python that the profile names: is it there, new enough, with numpy and h5py."""
    lines, fitting = [], []
    cache = at_home(profile.agent.cache, transport)
    for candidate in profile.agent.python:
        word = secrets.token_hex(8)
        argv = [*python_command(candidate), "-I", "-c", _PYTHON, word, cache]
        try:
            result = transport.run(argv, timeout_s=COMMAND_S)
        except LinkError as error:
            if not transport.alive:
                raise
            lines.append(f"{candidate}: {error.summary}")
            continue
        found = _python_facts(result, word)
        problem = _python_problem(found, result)
        lines.append(f"{candidate}: {problem or _python_words(found)}")
        if not problem:
            fitting.append((candidate, found))
    details = "\n".join(lines)
    if not fitting:
        return failed(AgentError(f"No Python with numpy and h5py was found at {profile.label}.", details,
                                 "Name a Python (3.8 or newer) that has both under [agent] python in the site profile "
                                 "(ask the facility which module has them), or connect: where it can, Beamside offers "
                                 "to put a private one there."))
    candidate, found = fitting[0]
    summary = f"{candidate} is {_python_words(found)}."
    if found.get("private"):
        return passed(f"{summary} The packages are Beamside's own, in its cache folder there.", details)
    if candidate != profile.agent.python[0]:
        return warned(summary, details, "The Python that the profile names first does not fit: put this one first.")
    return passed(summary, details)


def look_at_roots(transport: Transport, profile: SiteProfile) -> Found:
    """Whether the data roots are there and may be read."""
    roots = [plain_root(root, transport) for root in profile.data.roots]
    if not roots:
        return skipped("The profile names no data roots; browsing begins in the home folder.")
    word = secrets.token_hex(8)
    result = transport.run(["sh", "-c", _ROOTS, "doctor", word, *roots], timeout_s=COMMAND_S + 30 * len(roots))
    found = [fact.split(" ") for fact in _facts(result, word)]
    if len(found) != len(roots):
        return failed(LinkError("The site did not say whether the data roots are there.", result.error_text[-1000:],
                                "Run the examination again; a file system there may be hanging."))
    lines = [f"{root}: {_root_words(state, count)}" for root, (state, count) in zip(roots, found, strict=True)]
    bad = [(root, state) for root, (state, _) in zip(roots, found, strict=True) if state != "readable"]
    if not bad:
        return passed(f"{', '.join(roots[:3])}{'…' if len(roots) > 3 else ''} can be read.", "\n".join(lines))
    root, state = bad[0]
    remedy = "Check [data] roots in the site profile, or ask the facility for access."
    if len(bad) == len(roots):
        kind = DataError if state == "closed" else NotFoundError
        words = "may not be read by you" if state == "closed" else "is not there"
        return failed(kind(f"The data root {root} {words}.", "\n".join(lines), remedy))
    return warned(f"The data root {root} {_root_words(state, '0')}; others can be read.", "\n".join(lines), remedy)


def look_at_clock(transport: Transport, provider_skews: Sequence[float]) -> Found:
    """This computer's clock against the site's and the provider's."""
    word = secrets.token_hex(8)
    before = time.time()
    result = transport.run(["sh", "-c", _CLOCK, "doctor", word], timeout_s=COMMAND_S)
    after = time.time()
    said = next(iter(_facts(result, word)), "")
    site = (before + after) / 2 - float(said) - 0.5 if said.isdigit() else None
    lines = [f"{name}: {round(skew):+d} s" for name, skew in
             (("this computer minus the site", site), ("this computer minus the sign-in service",
                                                       provider_skews[0] if provider_skews else None))
             if skew is not None]
    return clock_found(site, provider_skews[0] if provider_skews else None, "\n".join(lines))


def clock_found(site: float | None, provider: float | None, detail: str) -> Found:
    """Which clock is wrong. Both are this computer's minus the other, in seconds; ``None``: not known."""
    if provider is not None:
        wrong = skew_found("the sign-in service's", provider)
        if wrong is not None:
            return Found(wrong.state, wrong.summary, detail, wrong.remedy, wrong.kind)
    if site is None:
        return passed("The clocks agree.", detail) if provider is not None else \
            warned("The site does not tell the time.", detail)
    wrong = skew_found("the site's", site)
    if wrong is None:
        return passed("The clocks agree.", detail)
    if provider is not None:      # two against one
        minutes = round(abs(site) / 60)
        return warned(f"The site's clock is {minutes} minute{'s' if minutes != 1 else ''} "
                      f"{'behind' if site > 0 else 'fast'}.", detail,
                      "Tell the facility's support; certificates may be refused there, and times of files are off.")
    return warned(wrong.summary, detail, "Set the clock of this computer, or tell the facility if it is right: "
                                         "certificates may be refused, and times of files are off.")


def look_at_space(transport: Transport, profile: SiteProfile) -> Found:
    """Room for the agent in its cache folder."""
    place = at_home(profile.agent.cache, transport)
    word = secrets.token_hex(8)
    result = transport.run(["sh", "-c", _SPACE, "doctor", word, place], timeout_s=COMMAND_S * 2)
    facts = _facts(result, word)
    words = facts[0].split(" ", 2) if facts else []
    if len(words) != 3:
        return warned(f"The site does not say how much room there is in {place}.", result.error_text[-500:])
    may, free_text, there = words
    over = facts[1].strip() if len(facts) > 1 else ""
    free = int(free_text) * 1024 if free_text.isdigit() else None
    detail = f"looked at: {there}\nfree: {bytes_text(free) if free is not None else 'not known'}\n{over}".strip()
    remedy = "Make room there, or name another folder under [agent] cache in the site profile."
    if may == "no":
        return failed(StorageFullError(f"Nothing can be written to {place} at the site.", detail, remedy))
    if over:
        return warned("A quota of the account is used up.", detail, "Make room at the site: jobs cannot write there.")
    if free is not None and free < LEAST_FREE_BYTES:
        return failed(StorageFullError(f"Only {bytes_text(free)} are free for Beamside in {place}.", detail, remedy))
    if free is not None and free < LOW_BYTES:
        return warned(f"Only {bytes_text(free)} are free in {place}.", detail, remedy)
    room = f", {bytes_text(free)} are free." if free is not None else "."
    return passed(f"{place} can be written to{room}", detail)


def look_at_scheduler(transport: Transport, profile: SiteProfile) -> Found:
    """The batch system: found, its version, its partitions, whether it lets this user ask."""
    if not profile.batch.system:
        word = secrets.token_hex(8)
        result = transport.run(["sh", "-c", _SCHEDULERS, "doctor", word], timeout_s=COMMAND_S)
        there = [_SYSTEMS[name] for name in _facts(result, word) if name in _SYSTEMS]
        if there:
            return warned(f"The profile names no batch system, but {there[0]} is there.", "",
                          "Name it under [batch] system in the site profile to submit jobs.")
        return skipped("The profile names no batch system.")
    system = BatchSystem(profile, lambda: transport)
    partitions = system.partitions()
    system.rows()
    shell = ["bash", "-lc", "sinfo --version"] if profile.batch.login_shell else ["sinfo", "--version"]
    version = transport.run(shell, timeout_s=COMMAND_S).text.strip() if profile.batch.system == "slurm" else ""
    lines = [version, *(f"{p.name}: {'in service' if p.up else p.reason or 'down'}{' (default)' if p.default else ''}"
                        for p in partitions)]
    up = [p.name for p in partitions if p.up]
    title = system.dialect.title
    if not up:
        return warned(f"{title} answers, but none of its partitions takes jobs.", "\n".join(lines).strip(),
                      "Ask the facility, or correct [batch] partitions in the site profile.")
    named = version[:1].upper() + version[1:] or title
    return passed(f"{named} answers; {len(up)} of {len(partitions)} partition"
                  f"{'s' if len(partitions) != 1 else ''} take{'s' if len(up) == 1 else ''} jobs.",
                  "\n".join(lines).strip())


def at_home(path: str, transport: Transport) -> str:
    """``path`` with ``~`` replaced."""
    return str(transport.home) + path[1:] if path == "~" or path.startswith("~/") else path


def plain_root(root: str, transport: Transport) -> str:
    """A data root up to its first placeholder, but the user's name."""
    named = at_home(root.replace("{user}", transport.user), transport)
    return (named.partition("{")[0].rpartition("/")[0] if "{" in named else named.rstrip("/")) or "/"


def _until_mark(read: Callable[[int], bytes]) -> bytes:
    data = b""
    while _MARK not in data and len(data) < _MOST_NOISE:
        got = read(65536)
        if not got:
            break
        data += got
    return data


def _shown(noise: bytes) -> str:
    text = noise[:_SHOWN_NOISE].decode("utf-8", "backslashreplace")
    return text + ("…" if len(noise) > _SHOWN_NOISE else "")


def _facts(result: CommandResult, word: str) -> list[str]:
    parts = result.text.split(f"\x1e{word} ")[1:]
    return [part.partition("\x1f")[0].strip() for part in parts]


def _python_facts(result: CommandResult, word: str) -> dict[str, str]:
    for fact in _facts(result, word):
        try:
            value = json.loads(fact)
        except ValueError:
            continue
        if isinstance(value, dict):
            return {str(key): str(item) for key, item in value.items()}
    return {}


def _python_problem(found: dict[str, str], result: CommandResult) -> str:
    if not found:
        said = result.error_text.strip().splitlines()
        return f"does not run ({said[-1][:200]})" if said else f"does not run (status {result.exit_code})"
    numbers = tuple(int(part) for part in found["python"].split(".")[:2])
    if numbers < (3, 8):
        return f"Python {found['python']} is too old"
    lacks = [f"{name} ({found.get(f'{name} problem', 'missing')})" for name in ("numpy", "h5py") if not found.get(name)]
    return f"Python {found['python']} lacks {' and '.join(lacks)}" if lacks else ""


def _python_words(found: dict[str, str]) -> str:
    parts = [f"{name} {found[name]}" if found.get(name) else f"no {name}" for name in ("numpy", "h5py", "hdf5plugin")]
    return f"Python {found['python']} with {', '.join(parts)}"


def _root_words(state: str, count: str) -> str:
    if state == "readable":
        number = max(0, int(count) - 2) if count.isdigit() else 0     # without . and ..
        return f"readable, {'1000 or more' if number > 1000 else number} entries"
    return {"closed": "may not be read by you", "file": "is no folder"}.get(state, "is not there")
