"""From the wish to a list of files, the first time, later, and after a cut: Beamside against ``ssh host ls``.

On the emulated links of ``benchmarks.links``, all ways turn by turn in one run, medians. Needs root. Part of
``./run bench`` (case ``connecting``); alone:

    python -m benchmarks.connecting [--links home,far,near] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.far import ROOT, facility
from benchmarks.links import FAR, HOME, NEAR, Link
from tests.peers.link import emulated_link

LINKS = {"home": HOME, "far": FAR, "near": NEAR}
ROWS = (("ssh", "`ssh host ls -l`, new connection"), ("ssh, ControlMaster", "– with ControlMaster"),
        ("beamside, connection stands", "Beamside, connection stands"),
        ("beamside, new connection", "Beamside, new connection"),
        ("beamside, first time", "– where it never was: the agent is sent"),
        ("beamside ls", "`beamside ls`, program start included"),
        ("beamside, after a cut", "Beamside after a cut, to the next list"))
FILES = 200
CASE, ROUNDS = "connecting", 7


def measure(link: Link, rounds: int) -> list[dict[str, Any]]:
    """The measurements on one link: ``{"way", "round", "s"}``."""
    with tempfile.TemporaryDirectory(prefix="bs-connect-") as name:
        folder = Path(name)
        listed = folder / "listed"
        listed.mkdir()
        for number in range(FILES):
            (listed / f"scan_{number:04}.h5").touch()
        with emulated_link(link.rate_mbit, link.round_trip_ms, queue_ms=link.queue_ms) as emulated, \
                facility(emulated, folder) as far:
            config = folder / "config"
            _write_profile(config, far.server)
            order = {"server": far.server, "python": sys.executable, "folder": str(listed), "rounds": rounds,
                     "cache": str(folder / "agent"), "home": str(far.home), "sshd": far.pid,
                     "ssh_options": far._ssh_options()}
            environment = {**os.environ, "HOME": str(far.home), "BEAMSIDE_CONFIG_DIR": str(config),
                           "BEAMSIDE_CACHE_DIR": str(folder / "here"), "BEAMSIDE_STATE_DIR": str(folder / "state"),
                           "PYTHONPATH": str(ROOT)}
            done = subprocess.run(emulated.at_home([sys.executable, "-m", "benchmarks.clients.connecting",
                                                    json.dumps(order)]), cwd=ROOT, env=environment, check=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
            return found


def _write_profile(config: Path, server: dict[str, object]) -> None:
    sites = config / "sites"
    sites.mkdir(parents=True)
    (sites / "far.toml").write_text(
        f'schema = 1\nname = "far"\ntitle = "Far"\n[ssh]\nhost = "{server["host"]}"\nport = {server["port"]}\n'
        f'user = "{server["user"]}"\nmethods = ["key"]\nhost_keys = ["{server["host_key"]}"]\n'
        f'[agent]\npython = ["{sys.executable}"]\n', "utf-8")


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Medians in milliseconds, in Markdown."""
    lines = ["| to the list of 200 files | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for way, title in ROWS:
        cells = []
        for rows in found.values():
            taken = [row["s"] for row in rows if row["way"] == way]
            cells.append(f"{1000 * statistics.median(taken):.0f} ms" if taken else "")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--links", default="home,far,near")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("The emulated link needs network namespaces: run this as root.")
    links = [LINKS[name] for name in chosen.links.split(",")]
    print(table({link.name: measure(link, chosen.rounds) for link in links}))


if __name__ == "__main__":
    main()
