"""Beamside against other ways to remote data, on emulated links: one table, a JSON file, a plot.

The laptop's and the facility's ends are network namespaces joined by a packet-level emulator, so TCP is the kernel's.
All ways are measured in one run, turn by turn. Needs root. Data and peers are kept in the cache folder (12 GB).

    ./run bench [--links home,far,near] [--ways …] [--cases …] [--rounds N] [--agent-python /usr/bin/python3]
    ./run bench-short
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app import __version__
from benchmarks import connecting
from benchmarks import data as datasets
from benchmarks import links as emulated
from benchmarks.cases import BLOCKS, CASES, DEBIAN, DOWNLOAD, GROVE, OURS, PLAIN, SSHFS, TILED
from benchmarks.checkout import commit
from benchmarks.goals import missed, rows_of
from benchmarks.measuring import ALL_WAYS, measure
from benchmarks.peers import peers_python, why_no_sshfs
from benchmarks.plot import draw
from benchmarks.table import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
LINKS = {"home": emulated.HOME, "far": emulated.FAR, "near": emulated.NEAR}
SHORT_WAYS = (OURS, DEBIAN, SSHFS, TILED, GROVE, PLAIN, BLOCKS, DOWNLOAD)
CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def smallest_payloads(data: datasets.Data, python: Path) -> dict[str, dict[str, float]]:
    """Of the pictures that are measured; made once, kept beside the data."""
    kept = data.folder / "payloads.json"
    if not kept.exists():
        say("looking for the smallest payloads")
        frames = ["1"] if data.sizes is datasets.SHORT else []
        done = subprocess.run([str(python), "-m", "benchmarks.payloads", str(data.folder), *frames], cwd=ROOT,
                              check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        kept.write_bytes(done.stdout)
    found: dict[str, dict[str, float]] = json.loads(kept.read_text())
    return found


def window(short: bool) -> list[dict[str, Any]]:
    """What the window's own thread does with a picture; no link."""
    found = []
    size = ["--width", "1280", "--height", "800", "--seconds", "1"] if short else []
    for number in range(1 if short else 3):
        done = subprocess.run([sys.executable, "-m", "benchmarks.gui_paint", *size], cwd=ROOT, check=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        still = [value for name, value in told.items() if name != "streaming"]
        found.append({"link": "", "case": "window", "way": OURS, "round": number,
                      "paint_ms": max(value["paint"] for value in still),
                      "together_ms": max(value["together"] for value in still), **told["streaming"]})
        say(f"window: {found[-1]}")
        if not told["streaming"]["frames_per_s"]:
            found[-1] = {"link": "", "case": "window", "way": OURS, "round": number,
                         "error": "no frame was shown, so the gaps say nothing"}
    return found


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "")
    return {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count(),
            "processor": model, "load": os.getloadavg()}


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--links", default="home,far,near", help="of home (50 Mbit/s), far (10), near (1000)")
    parser.add_argument("--ways", default="", help="only these, separated by commas")
    parser.add_argument("--cases", default="", help="only these, separated by commas")
    parser.add_argument("--rounds", type=int, default=0, help="of everything, instead of each case's own number")
    parser.add_argument("--agent-python", default="/usr/bin/python3", help="of the second agent: with h5py")
    parser.add_argument("--short", action="store_true", help="little data, the fast link, once: does it still work?")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file, table and plot")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("The emulated link needs network namespaces: run this as root.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))      # what was started ends, too
    begun = datetime.datetime.now(datetime.UTC)
    links = [LINKS[name] for name in (["near"] if chosen.short else chosen.links.split(","))]
    ways = tuple(chosen.ways.split(",")) if chosen.ways else SHORT_WAYS if chosen.short else ALL_WAYS
    if SSHFS in ways and (why := why_no_sshfs()):
        if CI and shutil.which("sshfs") is None:     # without FUSE in the kernel there is nothing to install
            raise SystemExit(f"{why}, and CI wants all peers.")
        say(f"not run here: sshfs ({why})")
        ways = tuple(way for way in ways if way != SSHFS)
    names = chosen.cases.split(",") if chosen.cases else [*(case.name for case in CASES), connecting.CASE]
    cases = [case for case in CASES if case.name in names]
    python = peers_python(say)
    data = datasets.prepare(datasets.SHORT if chosen.short else datasets.FULL, say)
    payloads = smallest_payloads(data, python)
    found = []
    for link in links:
        found += measure(link, data, cases, ways, python, chosen.agent_python, say,
                         chosen.rounds or (1 if chosen.short else 0))
    arrivals = {link.name: connecting.measure(link, chosen.rounds or (1 if chosen.short else connecting.ROUNDS))
                for link in (links if connecting.CASE in names else [])}
    found += window(chosen.short)
    rows = rows_of(found, links, payloads)
    result = {"when": begun.isoformat(timespec="seconds"), "version": __version__, "commit": commit(),
              "machine": machine(), "seconds": (datetime.datetime.now(datetime.UTC) - begun).total_seconds(),
              "data": data.sizes.name, "payloads": payloads, "agent_python": chosen.agent_python, "rows": rows,
              "measurements": found, "connecting": arrivals}
    chosen.output.mkdir(parents=True, exist_ok=True)
    file = chosen.output / f"streaming_{'short_' if chosen.short else ''}{begun:%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps(result, indent=1))
    draw(rows, file.with_suffix(".svg"))
    text = table(rows) + (f"\n\n{connecting.table(arrivals)}" if arrivals else "")
    file.with_suffix(".md").write_text(text + "\n")
    judged = ("Little data and one round: nothing is judged." if chosen.short else
              "Missed:\n" + ("\n".join(f"- {line}" for line in missed(rows)) or "nothing"))
    print(f"{text}\n\n{judged}\n\n{file}")
    broken = [f"{row['link']} {row['case']} {row['way']}: {row.get('error', 'wrong values')}" for row in found
              if row.get("right") is False or (row.get("error") and (CI or row["way"] in (OURS, DEBIAN)))]
    if broken:
        raise SystemExit("Not right:\n" + "\n".join(broken))


if __name__ == "__main__":
    main()
