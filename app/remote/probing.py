"""Looks around at a site after login: batch system, modules, Pythons, data roots, container runtimes.

One constant ``sh`` script; what it is to try travels as arguments. Each fact is written between marks that hold a word
made for this look, so that what start-up files print is never taken for one. Blocks; nothing is changed at the site.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator

from app.errors import LinkError, LinkLostError
from app.model.findings import Findings, FolderFound, PythonFound
from app.model.site import SiteProfile
from app.remote.seams import Transport

PROBE_S = 90.0
_MOST_PARTITIONS = 200
_PYTHONS = ("python3", "/usr/bin/python3")
_MODULE_PYTHONS = ("module load python && python3", "module load anaconda && python3")

# $1: the word; then “py COMMAND” and “dir PATH” pairs.
SCRIPT = r"""
word=$1; shift
say() { printf '\036%s %s %s\037\n' "$word" "$1" "$2"; }
limit() { if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$@"; else shift; "$@"; fi; }
say home "${HOME:-}"
say user "$(id -un 2>/dev/null)"
say host "$(hostname 2>/dev/null || uname -n)"
if command -v sinfo >/dev/null 2>&1; then
  say batch slurm
  limit 20 sinfo -h -o %P 2>/dev/null </dev/null | while read -r name; do say partition "$name"; done
elif command -v qstat >/dev/null 2>&1 && command -v qconf >/dev/null 2>&1; then
  say batch gridengine
  limit 20 qconf -sql 2>/dev/null </dev/null | while read -r name; do say partition "$name"; done
elif command -v qstat >/dev/null 2>&1 && { command -v pbsnodes || command -v qmgr; } >/dev/null 2>&1; then
  say batch pbs
  limit 20 qstat -Q 2>/dev/null </dev/null | while read -r name rest; do
    case $name in Queue|---*|'') ;; *) say partition "$name" ;; esac; done
fi
modules=
if limit 20 bash -lc 'type module' >/dev/null 2>&1 </dev/null; then modules=yes; say modules yes; fi
for tool in apptainer singularity podman ch-run; do
  if command -v "$tool" >/dev/null 2>&1; then say container "$tool"; fi
done
number=0
while [ $# -gt 1 ]; do
  case $1 in
  py)
    number=$((number + 1))
    shell="sh -c"
    case $2 in *"module "*) if [ -z "$modules" ]; then shift 2; continue; fi; shell="bash -lc" ;; esac
    limit 30 $shell "$2"' "$@"' beamside-python -c '
import sys
lacks = ""
for name in ("numpy", "h5py"):
    try:
        __import__(name)
    except Exception:
        lacks += "," + name
sys.stdout.write("\036%s python %s %d.%d.%d %s\037\n" % ((sys.argv[1], sys.argv[2]) + sys.version_info[:3] + (lacks,)))
' "$word" "$number" 2>/dev/null </dev/null ;;
  dir) if [ -d "$2" ]; then say folder "$2"; fi ;;
  esac
  shift 2
done
say done yes
"""


def probe(transport: Transport, profile: SiteProfile) -> Findings:
    """Look around.

    Raises:
        LinkLostError: the connection died.
        LinkError: the site did not answer in time.
    """
    pythons = candidates(profile)
    folders = [(root, _plain(root, transport.user, str(transport.home))) for root in profile.data.roots]
    word = secrets.token_hex(8)
    argv = ["sh", "-c", SCRIPT, "beamside-probe", word]
    for command in pythons:
        argv += ["py", command]
    for _root, path in folders:
        argv += ["dir", path]
    answer = transport.run(argv, timeout_s=PROBE_S)
    if not transport.alive:
        raise LinkLostError("The connection was lost while Beamside looked around.", remedy="Connect again.")
    found = parse(answer.text, word, pythons, folders)
    if not found.complete and not found.home:
        raise LinkError("The site ran no command for Beamside.", answer.error_text.strip()[-2000:],
                        "Check that the login shell at the site runs commands without asking anything.")
    return found


def candidates(profile: SiteProfile) -> tuple[str, ...]:
    """The ways to start Python that are worth a try, the profile's first."""
    return tuple(dict.fromkeys((*profile.agent.python, *_PYTHONS, *_MODULE_PYTHONS)))


def parse(text: str, word: str, pythons: Iterable[str], folders: Iterable[tuple[str, str]],
          day: str = "") -> Findings:
    """What the script said.

    Args:
        text: its output, with whatever else was printed.
        word: what its facts begin with.
        pythons: the commands tried, in the order of the arguments.
        folders: (root of the profile, path tried).
        day: today, unless said.
    """
    facts: dict[str, list[str]] = {}
    for key, value in _facts(text, word):
        facts.setdefault(key, []).append(value)
    tried = tuple(pythons)
    known = {found.command: found for line in facts.get("python", []) if (found := _python(line, tried)) is not None}
    there = set(facts.get("folder", []))
    modules = "modules" in facts
    return Findings(
        day or time.strftime("%Y-%m-%d"), _first(facts, "batch"), _partitions(facts.get("partition", [])), modules,
        tuple(known.get(command, PythonFound(command)) for command in tried if modules or "module " not in command),
        tuple(FolderFound(root, path, path in there) for root, path in folders), _first(facts, "home"),
        _first(facts, "user"), _first(facts, "host"), tuple(dict.fromkeys(facts.get("container", []))),
        "done" in facts)


def _facts(text: str, word: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(rf"\x1e{re.escape(word)} ([a-z]+) ([^\x1e\x1f]*)\x1f", text):
        yield match[1], match[2].strip()


def _python(line: str, tried: tuple[str, ...]) -> PythonFound | None:
    match = re.fullmatch(r"(\d+) (\d+\.\d+\.\d+) ?((?:,\w+)*)", line)
    if match is None or not 0 < int(match[1]) <= len(tried):
        return None
    return PythonFound(tried[int(match[1]) - 1], match[2], tuple(name for name in match[3].split(",") if name))


def _partitions(names: list[str]) -> tuple[str, ...]:
    """Without repetitions, the default one (``name*``) first."""
    ordered = sorted(names, key=lambda name: not name.endswith("*"))
    return tuple(dict.fromkeys(name.rstrip("*") for name in ordered if name.rstrip("*")))[:_MOST_PARTITIONS]


def _first(facts: dict[str, list[str]], key: str) -> str:
    return next((value for value in facts.get(key, []) if value), "")


def _plain(root: str, user: str, home: str) -> str:
    """The part of a data root that can be looked for: up to its first placeholder but the user's name."""
    named = root.replace("{user}", user)
    named = home + named[1:] if named == "~" or named.startswith("~/") else named
    plain = named.partition("{")[0].rpartition("/")[0] if "{" in named else named.rstrip("/")
    return plain or "/"
