"""Two servers of HDF5 over HTTP, behind a tunnel, each asked as its own client asks.

Tiled: its Python client; a node is named by its whole path, which spares it three requests. h5grove: what h5web asks to
show a file (the metadata of each level, then the values in binary), on at most six connections, as browsers have.

    python -m benchmarks.clients.http tiled|tiled-stride|h5grove URL
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import httpx
import numpy as np

from benchmarks.clients.serving import digest, picture, serve, timed, until

PATH = "/entry/data/data"
TIMEOUT_S = 120.0
_CONNECTIONS = 6
Index = tuple[Any, ...]


class HttpWay:
    """Orders in terms of ``array``: something that can be indexed, of a file."""

    factor = 2

    def array(self, file: str) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def display(self, array: Any, frame: int) -> np.ndarray:
        return picture(array[frame, :, :])

    def warm(self, file: str, frames: list[int]) -> dict[str, Any]:
        array = self.array(file)
        for frame in frames:
            self.display(array, frame)
        return {}

    def first(self, file: str, frame: int) -> dict[str, Any]:
        seconds, shown = timed(lambda: self.display(self.array(file), frame))
        return {"s": seconds, "digest": digest(shown)}

    def scrub(self, file: str, frames: list[int], budget_s: float, **_ours: Any) -> dict[str, Any]:
        array, shown = self.array(file), []
        seconds, _, count = until(budget_s, (lambda i=i: shown.append(self.display(array, i)) for i in frames), 1)
        return {"s": seconds, "digest": digest(shown[-1]), "last": frames[count - 1]}

    def roi(self, file: str, frame: int, region: list[int]) -> dict[str, Any]:
        y0, y1, x0, x1 = region
        array = self.array(file)
        seconds, values = timed(lambda: array[frame, y0:y1, x0:x1])
        return {"s": seconds, "digest": digest(values)}

    def profile(self, file: str, y: int, x: int) -> dict[str, Any]:
        array = self.array(file)
        seconds, values = timed(lambda: array[:, y, x])
        return {"s": seconds, "digest": digest(values)}

    def slices(self, file: str, at: list[int], budget_s: float) -> dict[str, Any]:
        """Three orthogonal slices, one request each; stopped between them."""
        array, found = self.array(file), []
        everything = slice(None)
        indices: list[Index] = [(at[0], everything, everything), (everything, at[1], everything),
                                (everything, everything, at[2])]
        seconds, done, _ = until(budget_s, (lambda i=i: found.append(array[i]) for i in indices), 3)
        return {"s": seconds, "done": done, "digest": " ".join(map(digest, found)) if done == 1 else ""}


class Tiled(HttpWay):
    """``tiled.client``."""

    stride: int = 1

    def __init__(self, url: str) -> None:
        from tiled.client import from_uri
        self._root = from_uri(url + "/api/v1", timeout=httpx.Timeout(TIMEOUT_S))

    def array(self, file: str) -> Any:
        return self._root[PurePosixPath(file).stem + PATH]

    def tree(self, file: str, total: int, budget_s: float) -> dict[str, Any]:
        """Stopped at its budget: the time to the first node, which is long, and the others by proportion."""
        found = {"nodes": 0, "attributes": 0}
        begun, first = time.perf_counter(), 0.0

        def walk(node: Any) -> None:
            nonlocal first
            for _, child in node.items():
                found["nodes"] += 1
                found["attributes"] += len(child.metadata)
                first = first or time.perf_counter()
                if hasattr(child, "items"):
                    walk(child)
                if time.perf_counter() - first > budget_s:
                    return
        walk(self._root[PurePosixPath(file).stem])
        rest = time.perf_counter() - first
        return {"s": first - begun + rest * total / found["nodes"], "done": found["nodes"] / total, **found}


class TiledStride(Tiled):
    """Every second pixel: what the server offers in place of pooling. Peaks between them are lost."""

    def display(self, array: Any, frame: int) -> np.ndarray:
        shown: np.ndarray = array[frame, ::2, ::2]
        return shown


class _Values:
    """A dataset of h5grove."""

    def __init__(self, client: httpx.Client, file: str) -> None:
        self._client, self._file = client, file
        for depth in range(4):                                       # h5web goes down from the root
            told = get(client, "/meta", file, "/" + "/".join(PATH.split("/")[1:1 + depth])).json()
        self.shape, self.dtype = told["shape"], np.dtype(told["type"]["dtype"])

    def __getitem__(self, index: Index) -> np.ndarray:
        shape = [len(range(*i.indices(n))) for i, n in zip(index, self.shape, strict=True) if isinstance(i, slice)]
        text = ",".join(f"{'' if i.start is None else i.start}:{'' if i.stop is None else i.stop}"
                        if isinstance(i, slice) else str(i) for i in index)
        reply = get(self._client, "/data", self._file, PATH, selection=text, format="bin", dtype="safe")
        return np.frombuffer(reply.content, self.dtype).reshape(shape)


class H5grove(HttpWay):
    """The requests of h5web."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S,
                                    limits=httpx.Limits(max_connections=_CONNECTIONS))

    def close(self) -> None:
        self._client.close()

    def array(self, file: str) -> Any:
        return _Values(self._client, file)

    def tree(self, file: str, total: int, budget_s: float) -> dict[str, Any]:
        """Metadata of every group (which tells of its children), attributes of every node."""
        found = {"nodes": 0, "attributes": 0}
        lock, end = threading.Lock(), time.perf_counter() + budget_s

        def attributes(path: str) -> None:
            if time.perf_counter() < end:
                known = get(self._client, "/attr", file, path).json()
                with lock:
                    found["nodes"] += 1
                    found["attributes"] += len(known)

        def paths(path: str) -> Iterator[str]:
            for child in get(self._client, "/meta", file, path).json()["children"]:
                below = f"{path.rstrip('/')}/{child['name']}"
                yield below
                if child["kind"] == "group" and time.perf_counter() < end:
                    yield from paths(below)

        def walk() -> None:
            with ThreadPoolExecutor(_CONNECTIONS) as pool:
                every = paths("/")
                while batch := list(itertools.islice(every, 50)):
                    for _ in pool.map(attributes, batch):
                        pass
        seconds, _ = timed(walk)
        return {"s": seconds * total / found["nodes"], "done": found["nodes"] / total, **found}


def get(client: httpx.Client, where: str, file: str, path: str, **more: str) -> httpx.Response:
    """One request."""
    reply = client.get(where, params={"file": file, "path": path, **more})
    reply.raise_for_status()
    return reply


WAYS = {"tiled": Tiled, "tiled-stride": TiledStride, "h5grove": H5grove}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]](sys.argv[2]))
