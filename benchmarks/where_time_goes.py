"""Where a first picture's time goes beside the data: the agent's work of one ``show``, step by step, in one process.

Milliseconds of the thread's own CPU (what else the machine does hardly moves it), medians over files nobody opened.
Needs only numpy and h5py, so ``--python /usr/bin/python3`` measures a distribution's own.

    python -m benchmarks.where_time_goes [--python PYTHON] [--rate-mbit 50]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIT, PREVIEW = [1100, 1100], [300, 300]
Times = dict[str, float]


class Steps:
    """Adds up what functions take, each without those it calls."""

    def __init__(self) -> None:
        self.spent: Times = {}
        self._inner = [0.0]

    def around(self, owner: Any, name: str, label: str) -> None:
        """Measure a function of a module or class from now on."""
        work: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(work)
        def measured(*arguments: Any, **named: Any) -> Any:
            begun = time.thread_time()
            self._inner.append(0.0)
            try:
                return work(*arguments, **named)
            finally:
                whole = time.thread_time() - begun
                inner = self._inner.pop()
                self._inner[-1] += whole
                self.spent[label] = self.spent.get(label, 0.0) + whole - inner
        setattr(owner, name, measured)


def measure(files: list[str], rate: float, codecs_there: list[str]) -> list[Times]:
    """What each file's ``show`` took; ``codecs_there`` are those of the client."""
    from app.agent import holding, plots, showing
    from app.agent.service import Service
    from app.agent.stack import Waiting
    from app.protocol import codecs
    from app.protocol.messages import MESSAGE_BYTES
    from app.protocol.replies import encode_reply
    steps, found = Steps(), []
    allowed = [name for name in codecs_there if name in codecs.available_codecs()]

    def send(words: str, result: dict[str, Any], arrays: list[Any]) -> int:
        begun = time.thread_time()
        size = sum(len(frame.encode()) for frame in encode_reply(1, result, arrays, allowed, rate, MESSAGE_BYTES, True))
        steps.spent[f"encode {words}"] = time.thread_time() - begun
        steps._inner[-1] += steps.spent[f"encode {words}"]
        return size

    class Link(Waiting):
        rate = 0.0

        def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
            return send(str(result.get("part")), result, arrays)

    Link.rate = rate
    steps.around(plots.Plots, "shown", "open and describe")
    steps.around(holding.Holding, "select", "read and decode")
    steps.around(showing, "_pooled", "pool")
    steps.around(showing, "_tell_preview", "preview: pool, limits")
    steps.around(showing, "_sampled", "preview: every nth pixel of a large frame")
    steps.around(holding.Selected, "counted", "statistics")
    for file in files:
        steps.spent = {}
        service = Service()
        begun = time.thread_time()
        result, arrays = service.handle("show", {"file": file, "data_path": None, "fit": FIT, "preview": PREVIEW},
                                        Link())
        send(f"last reply ({result.get('part')})", result, arrays)
        whole = time.thread_time() - begun
        steps.spent["rest"] = whole - sum(steps.spent.values())
        found.append(dict(steps.spent, whole=whole))
        service.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="that measures")
    parser.add_argument("--rate-mbit", type=float, default=50)
    parser.add_argument("--data", default="eiger4m_u16,eiger4m_u32,eiger16m_u32")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        files, rate, names = chosen.measure
        print(json.dumps(measure(json.loads(files), float(rate), json.loads(names))))
        return
    import hdf5plugin

    from app.protocol import codecs
    from benchmarks import data as datasets
    data = datasets.Data(datasets.cache_folder() / "data" / f"full-{datasets.VERSION}", datasets.FULL)
    environment = dict(os.environ, HDF5_PLUGIN_PATH=str(hdf5plugin.PLUGIN_PATH), HDF5_USE_FILE_LOCKING="FALSE",
                       PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1")
    for name in chosen.data.split(","):
        with tempfile.TemporaryDirectory(dir=data.folder, prefix="links-") as folder:
            files = [str(Path(folder) / f"{i}.h5") for i in range(8)]
            for file in files:
                os.link(data.file(name), file)
            done = subprocess.run([chosen.python, str(Path(__file__).resolve()), "--measure", json.dumps(files),
                                   str(chosen.rate_mbit * 125e3), json.dumps(list(codecs.available_codecs()))],
                                  env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout)[2:]                        # the first ones import
        print(f"\n{name}, {chosen.rate_mbit:g} Mbit/s: ms of CPU")
        for step in found[0]:
            print(f"  {1000 * statistics.median(times.get(step, 0.0) for times in found):7.2f}  {step}")


if __name__ == "__main__":
    main()
