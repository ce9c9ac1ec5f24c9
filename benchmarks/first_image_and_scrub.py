"""First image and scrub rate of Beamside against downloading and against h5py over SFTP, on an emulated link.

Real sshd in the far namespace, the client in the near one, one run, rounds interleaved over the ways, medians, and
beside them what the link could carry at best. Needs root (namespaces). Results go to ``benchmarks/results/``.

    ./run bench [--rate 50] [--rtt 30] [--rounds 5] [--short]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app import __version__
from benchmarks.stack import write_stack
from tests.peers.link import EmulatedLink, emulated_link
from tests.peers.need import need_program
from tests.peers.sshd import public_line, write_private

ROOT = Path(__file__).parent.parent
SEGMENT_BYTES, FIRST_WINDOW = 1448, 10


@contextlib.contextmanager
def far_sshd(link: EmulatedLink, folder: Path, client_key: str) -> Iterator[dict[str, Any]]:
    """An OpenSSH server on the facility's side of the link."""
    host_key, port = Ed25519PrivateKey.generate(), 22022
    write_private(host_key, folder / "host_key")
    (folder / "authorized_keys").write_text(client_key + "\n")
    config = folder / "sshd_config"
    config.write_text("\n".join([
        f"ListenAddress {link.facility_address}:{port}", f"HostKey {folder / 'host_key'}", "PidFile none",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}", "StrictModes no", "UsePAM no", "UseDNS no",
        "PasswordAuthentication no", "PermitRootLogin yes", "Subsystem sftp internal-sftp",
        "SetEnv SHLVL=1", ""]))                      # so that bash leaves the .bashrc alone
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    argv = link.at_the_facility([need_program("sshd", "openssh-server"), "-D", "-e", "-f", str(config)])
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        answers = ("import socket, sys, time\nend = time.monotonic() + 10\nwhile time.monotonic() < end:\n"
                   "    try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close(); break\n"
                   "    except OSError: time.sleep(0.05)\nelse: sys.exit('sshd does not answer')")
        subprocess.run(link.at_home([sys.executable, "-c", answers, link.facility_address, str(port)]), check=True,
                       stdin=subprocess.DEVNULL, timeout=30)
        yield {"host": link.facility_address, "port": port, "user": "root", "host_key": public_line(host_key),
               "python": sys.executable}
    finally:
        process.terminate()
        process.wait(10)


def measure(rate_mbit: float, rtt_ms: float, rounds: int, frames: int, scrub: int) -> list[dict[str, Any]]:
    """Every measurement of one run, as the client printed them."""
    with tempfile.TemporaryDirectory(prefix="bs-bench-") as name, emulated_link(rate_mbit, rtt_ms) as link:
        folder = Path(name)
        key = Ed25519PrivateKey.generate()
        write_private(key, folder / "home" / ".ssh" / "id_ed25519")
        say(f"writing {frames} frames of 4 megapixels")
        stack = folder / "stack.h5"
        write_stack(stack, frames)
        say(f"the file has {stack.stat().st_size / 1e6:.0f} MB; {rate_mbit:g} Mbit/s, {rtt_ms:g} ms")
        files = []
        for i in range(4 * rounds + 1):              # a name that nobody has opened yet for every first image
            files.append(str(folder / f"scan_{i:03}.h5"))
            os.link(stack, files[-1])
        with far_sshd(link, folder, public_line(key)) as server:
            order = {"server": server, "files": files, "rounds": rounds, "frames": frames, "scrub": scrub}
            client = subprocess.Popen(link.at_home([sys.executable, "-m", "benchmarks.at_home", json.dumps(order)]),
                                      cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                      env=os.environ | {"HOME": str(folder / "home")})
            found = []
            assert client.stdout is not None
            for line in client.stdout:
                found.append(json.loads(line))
                say(line.strip())
            if client.wait(30):
                raise SystemExit("the client failed")
            return [*found, {"file_bytes": stack.stat().st_size}]


def limits(payload_bytes: float, rate_mbit: float, rtt_ms: float) -> tuple[float, float]:
    """Seconds for ``payload_bytes`` at best: one round trip and the wire; and with TCP's slow start before it."""
    wire_s, rtt_s = payload_bytes * 8e-6 / rate_mbit, rtt_ms * 1e-3
    window, left, slow_s = FIRST_WINDOW * SEGMENT_BYTES, payload_bytes, rtt_s
    while left > window and window * 8e-6 / rate_mbit < rtt_s:
        left, window, slow_s = left - window, window * 2, slow_s + rtt_s
    return rtt_s + wire_s, slow_s + left * 8e-6 / rate_mbit


def summary(found: list[dict[str, Any]], rate_mbit: float, rtt_ms: float) -> list[dict[str, Any]]:
    """One row a way: medians over the rounds; the last is the link's own limit for the first way's pictures."""
    rows = []
    names = list(dict.fromkeys(m["way"] for m in found if "first_image_s" in m))
    for name in names:
        mine = [m for m in found if m.get("way") == name and "first_image_s" in m]
        row = {"way": name, "rounds": len(mine),
               "connect_s": next(m["connect_s"] for m in found if m.get("way") == name and "connect_s" in m)}
        for key in ("first_image_s", "first_image_bytes", "frames_per_s", "bytes_per_frame"):
            values = [m[key] for m in mine]
            row |= {key: statistics.median(values), f"{key}_range": [min(values), max(values)]}
        rows.append(row)
    fluid_s, slow_start_s = limits(rows[0]["first_image_bytes"], rate_mbit, rtt_ms)
    rows.append({"way": "limit of the link", "first_image_s": fluid_s, "first_image_slow_start_s": slow_start_s,
                 "first_image_bytes": rows[0]["first_image_bytes"], "bytes_per_frame": rows[0]["bytes_per_frame"],
                 "frames_per_s": rate_mbit * 1e6 / 8 / rows[0]["bytes_per_frame"]})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| way | connect | first image | MB for it | frames/s | MB a frame |", "|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        first = f"{row['first_image_s']:.3f} s"
        if "first_image_slow_start_s" in row:
            first += f" ({row['first_image_slow_start_s']:.3f} s with slow start)"
        local = row["way"].startswith("download")
        rate = f"{row['frames_per_s']:.1f}" + (" (local, afterwards)" if local else "")
        connect = f"{row['connect_s']:.2f} s" if "connect_s" in row else "-"
        lines.append(f"| {row['way']} | {connect} | {first} | {row['first_image_bytes'] / 1e6:.2f} | {rate} | "
                     f"{row['bytes_per_frame'] / 1e6:.2f} |")
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=50, metavar="MBIT_S")
    parser.add_argument("--rtt", type=float, default=30, metavar="MS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=50, help="in the file")
    parser.add_argument("--scrub", type=int, default=20, help="frames to scrub through")
    parser.add_argument("--short", action="store_true", help="2 rounds, 24 frames, 10 to scrub through")
    chosen = parser.parse_args()
    if chosen.short:
        chosen.rounds, chosen.frames, chosen.scrub = 2, 24, 10
    if os.geteuid() != 0:
        raise SystemExit("The emulated link needs network namespaces: run this as root.")
    begun = datetime.datetime.now(datetime.UTC)
    found = measure(chosen.rate, chosen.rtt, chosen.rounds, chosen.frames, chosen.scrub)
    rows = summary(found, chosen.rate, chosen.rtt)
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    result = {"when": begun.isoformat(timespec="seconds"), "version": __version__, "commit": commit,
              "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
              "link": {"rate_mbit": chosen.rate, "round_trip_ms": chosen.rtt}, "rows": rows, "measurements": found}
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"first_image_and_scrub_{chosen.rate:g}_{chosen.rtt:g}_{begun:%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps(result, indent=1))
    print(f"{chosen.rate:g} Mbit/s, {chosen.rtt:g} ms, Eiger 4M uint32 ({found[-1]['file_bytes'] / 1e6:.0f} MB, "
          f"{chosen.frames} frames), medians of {chosen.rounds} rounds\n\n{table(rows)}\n\n{file}")


if __name__ == "__main__":
    main()
