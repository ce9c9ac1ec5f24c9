"""Where the agent starts: ``python -I -X utf8 agent.zip --nonce …`` (front) or ``… --worker`` (its workers).

It runs at the facility, on Python 3.8 or newer, and imports nothing heavy before it has answered.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import List, Optional


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a front or a worker; the exit status."""
    options = _parser().parse_args(arguments)
    if options.packages and options.packages not in sys.path:
        sys.path.insert(0, options.packages)
    if options.worker:
        from app.agent.worker import run_worker
        return run_worker(options.memory_mb, options.cache_mb, options.threads)
    if options.plugins:
        os.environ["HDF5_PLUGIN_PATH"] = os.pathsep.join(
            part for part in (options.plugins, os.environ.get("HDF5_PLUGIN_PATH", "")) if part)
    if options.nice and hasattr(os, "nice"):
        os.nice(options.nice)
    from app.agent import greeting
    from app.agent.stdio import claim_stdio, write_all
    wire_in, wire_out = claim_stdio()
    write_all(wire_out, greeting.greeting(options.nonce, greeting.facts(options.digest)))
    from app.agent.front import Front, FrontSettings
    from app.agent.supervisor import WorkerSettings, worker_command
    command = worker_command(options.memory_mb, options.cache_mb, options.threads, options.packages)
    worker = WorkerSettings(command, time_limit_s=options.time_limit_s)
    status = Front(wire_in, wire_out, FrontSettings(worker, options.readers, options.idle_s, options.watch_s,
                                                    options.digest)).run()
    sys.stderr.flush()
    os._exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beamside-agent", description="Runs beside the data; started by Beamside.")
    parser.add_argument("--nonce", default="0", help="what the client expects on the marker line")
    parser.add_argument("--worker", action="store_true", help="be a worker of a running agent")
    parser.add_argument("--readers", type=int, default=2, help="worker processes that read data")
    parser.add_argument("--memory-mb", type=int, default=0, help="memory bound of each worker (0: none)")
    parser.add_argument("--cache-mb", type=int, default=256, help="what each worker may keep of what it read")
    parser.add_argument("--threads", type=int, default=2,
                        help="threads that may compute in each worker (0: one for each core there is)")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by this much")
    parser.add_argument("--plugins", default="", help="folder with HDF5 filter libraries")
    parser.add_argument("--packages", default="", help="folder with numpy and h5py, where this Python has none")
    parser.add_argument("--time-limit-s", type=float, default=60.0, help="longest silence of a working worker")
    parser.add_argument("--idle-s", type=float, default=300.0, help="end when nothing was heard for so long")
    parser.add_argument("--watch-s", type=float, default=0.5, help="how often watched files are looked at")
    parser.add_argument("--digest", default="", help="SHA-256 of this agent, told to the client")
    return parser


if __name__ == "__main__":
    sys.exit(main())
