"""What is measured: which order is given to which ways, how often, and what the answer has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import truth
from benchmarks.clients.serving import REGION
from benchmarks.data import CHUNKED, CONTIGUOUS, FOLDER, NODES, SHORT, U16, U32, U32_16M, Data
from benchmarks.links import Link

OURS, DEBIAN, ONE_THREAD = "beamside", "beamside-debian", "beamside-1-thread"
SSHFS, TILED, STRIDE, GROVE, GROVE_C = "sshfs", "tiled", "tiled-stride", "h5grove", "h5grove-C"
PLAIN, BLOCKS, DOWNLOAD = "h5py-sftp", "h5py-sftp-blocks", "download"
LABELS = {OURS: "Beamside", DEBIAN: "Beamside, Debian's Python", ONE_THREAD: "Beamside, one thread",
          SSHFS: "sshfs + h5py", TILED: "Tiled", STRIDE: "Tiled, stride 2 (loses peaks)", GROVE: "h5grove",
          GROVE_C: "h5grove, ssh -C", PLAIN: "h5py over SFTP", BLOCKS: "h5py over SFTP, readv blocks",
          DOWNLOAD: "download (SFTP)"}
BOTH = (OURS, DEBIAN)
QUICK = (SSHFS, TILED, STRIDE, GROVE_C, BLOCKS)
SLOW = (GROVE, PLAIN)
IDLE_S = 3.0


@dataclass(frozen=True)
class Round:
    """One round of one case on one link."""

    data: Data
    link: Link
    number: int

    @property
    def short(self) -> bool:
        """Does it still work? No more than that."""
        return self.data.sizes.name == SHORT.name

    @property
    def idle_s(self) -> float:
        return 0.2 if self.short else IDLE_S

    @property
    def budget_s(self) -> float:
        if self.short:
            return 1.0
        return 6.0 if self.link.fast else 12.0


@dataclass(frozen=True)
class Case:
    """``order`` gives the order and the digest its answer has to have (``None``: it depends, see ``expected``)."""

    name: str
    title: str
    do: str
    data: str
    order: Callable[[Round, Path], dict[str, Any]]
    quick: tuple[str, ...]
    slow: tuple[str, ...] = ()
    rounds: int = 5
    slow_rounds: int = 2
    before: str = ""              # "warm": something is transferred just before; "idle": nothing for IDLE_S
    fresh: bool = False
    expected: Callable[[Round, Path, str, dict[str, Any]], str | None] = lambda *_: None
    links: Callable[[Link], bool] = lambda _: True


def _frame(here: Round) -> int:
    return (7 * here.number + 3) % here.data.sizes.frames


def _first(name: str, title: str, data: str, before: str, quick: tuple[str, ...], slow: tuple[str, ...],
           factor: int, rounds: int = 5, links: Callable[[Link], bool] = lambda _: True) -> Case:
    def expected(here: Round, file: Path, way: str, answer: dict[str, Any]) -> str:
        original = here.data.file(data)
        frame = answer.get("frame", 0)
        if way == STRIDE:
            return truth.frame_strided(original, frame)
        return truth.frame_shown(original, frame, factor if way in BOTH else 2)
    return Case(name, title, "first", data, lambda here, file: {"file": str(file), "frame": 0}, quick, slow, rounds,
                before=before, fresh=True, expected=expected, links=links)


def _frames(here: Round, count: int) -> list[int]:
    sizes = here.data.sizes
    start = (173 * here.number + 11) % max(1, sizes.frames - count)
    return list(range(start, min(start + count, sizes.frames)))


def _scrub(here: Round, file: Path) -> dict[str, Any]:
    """Ours with the quality of pictures that stay, but at 10 Mbit/s with what the client makes of it by itself."""
    return {"file": str(file), "budget_s": here.budget_s / 3, "frames": _frames(here, 900 if here.link.fast else 400),
            "quality": "full" if here.link.rate_mbit > 20 else "automatic", "per_s": 300 if here.link.fast else 60}


def _shown_last(here: Round, file: Path, way: str, answer: dict[str, Any]) -> str | None:
    if "last" not in answer:
        return None
    if way == STRIDE:
        return truth.frame_strided(file, answer["last"])
    return truth.frame_shown(file, answer["last"], 2)


def _place(here: Round) -> tuple[int, int]:
    return 900 + 13 * here.number, 700 + 17 * here.number


def _middle(here: Round) -> tuple[int, int, int]:
    side = here.data.sizes.side
    return tuple((side // 2 + 7 * here.number + step) % side for step in (0, 3, 5))  # type: ignore[return-value]


def _slices(name: str, title: str, data: str) -> Case:
    return Case(name, title, "slices", data,
                lambda here, file: {"file": str(file), "at": list(_middle(here)), "budget_s": 2 * here.budget_s},
                BOTH, (SSHFS, GROVE, BLOCKS, TILED), 5, 1,
                expected=lambda here, file, way, answer: truth.slices(file, _middle(here)))


_NOT_FAR = lambda link: link.rate_mbit > 20  # noqa: E731

CASES = (
    _first("first-idle", "first picture, 4M uint16, connection idle", U16, "idle", (*BOTH, *QUICK), SLOW, 2),
    _first("first-warm", "first picture, 4M uint16, warm", U16, "warm", (*BOTH, *QUICK), SLOW, 2),
    _first("first-u32", "first picture, 4M uint32, connection idle", U32, "idle", (*BOTH, SSHFS, TILED, STRIDE),
           (GROVE,), 2),
    _first("first-16m", "first picture, 16M uint32, connection idle", U32_16M, "idle", (*BOTH, SSHFS), (TILED, GROVE_C),
           4, links=_NOT_FAR),
    Case("scrub", "scrub through 4M frames, a frame", "scrub", U16, lambda here, file: _scrub(here, file),
         (*BOTH, SSHFS, TILED, STRIDE, GROVE_C, BLOCKS), SLOW, expected=_shown_last),
    Case("stream", "– without the client's strategy, 4 reads in flight", "stream", U16,
         lambda here, file: {"file": str(file), "budget_s": here.budget_s / 3,
                             "frames": _frames(here, 400 if here.link.fast else 60)}, BOTH),
    Case("jump", "jump while playing", "jump", U16,
         lambda here, file: {"file": str(file), "start": 20 * here.number, "playing_s": 0.5 if here.short else 2.0,
                             "to": here.data.sizes.frames * 3 // 4 + here.number}, BOTH,
         expected=lambda here, file, way, answer: truth.frame_shown(
             file, here.data.sizes.frames * 3 // 4 + here.number, 2)),
    Case("ahead", "next frame, fetched ahead", "ahead", U16,
         lambda here, file: {"file": str(file), "start": here.data.sizes.frames // 2 + 5 * here.number,
                             "rest_s": 0.5 if here.link.fast else 2.0}, BOTH,
         expected=lambda here, file, way, answer: truth.frame_shown(
             file, here.data.sizes.frames // 2 + 5 * here.number + 2, 2)),
    Case("roi", "500×500 pixels at 1:1", "roi", U16,
         lambda here, file: {"file": str(file), "frame": _frame(here), "region": list(REGION)},
         (*BOTH, SSHFS, TILED, GROVE, GROVE_C, BLOCKS), (PLAIN,), before="idle",
         expected=lambda here, file, way, answer: truth.region(file, _frame(here), REGION)),
    Case("profile", "z-profile of a pixel through the stack", "profile", U16,
         lambda here, file: {"file": str(file), "y": _place(here)[0], "x": _place(here)[1]}, BOTH, (GROVE, TILED),
         5, 3, expected=lambda here, file, way, answer: truth.profile(file, *_place(here))),
    Case("project", "maximum of all frames", "project", U16, lambda here, file: {"file": str(file)},
         (*BOTH, ONE_THREAD), rounds=3, expected=lambda here, file, way, answer: truth.projection(
             file, here.data.sizes.distinct)),
    _slices("slices", "three orthogonal slices, contiguous", CONTIGUOUS),
    _slices("slices-chunked", "three orthogonal slices, chunks of 64³", CHUNKED),
    Case("listing", "folder of 20,000 files", "listing", FOLDER, lambda here, file: {"folder": str(file)},
         (*BOTH, SSHFS), (PLAIN,), 5, 2),
    Case("tree", "file of 5,000 nodes with attributes", "tree", NODES,
         lambda here, file: {"file": str(file), "total": here.data.sizes.nodes, "budget_s": here.budget_s},
         (*BOTH, SSHFS), (BLOCKS, GROVE, TILED, PLAIN), 5, 1, fresh=True),
    Case("download", "the whole stack of 4M uint16", "download", U16,
         lambda here, file: {"file": str(file), "budget_s": here.budget_s}, (), (DOWNLOAD,), 0, 2),
)
