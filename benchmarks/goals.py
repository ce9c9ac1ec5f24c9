"""From measurements to the rows of the table: medians, limits, ratios, and which goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.cases import (
    BLOCKS,
    CASES,
    DEBIAN,
    DOWNLOAD,
    GROVE,
    GROVE_C,
    LABELS,
    ONE_THREAD,
    OURS,
    PLAIN,
    SSHFS,
    STRIDE,
    TILED,
)
from benchmarks.links import Link

PEERS = (SSHFS, TILED, STRIDE, GROVE, GROVE_C, PLAIN, BLOCKS, DOWNLOAD)
_DISPLAY_S = 1 / 60
Found = Sequence[dict[str, Any]]
Row = dict[str, Any]
Goal = tuple[str, float, float, bool]           # what it says, what was reached, what it asks, whether more is better


class Medians:
    """What was measured on one link."""

    def __init__(self, found: Found, link: str) -> None:
        self._found = [row for row in found if row.get("link") == link]

    def of(self, case: str, way: str, key: str = "s") -> float | None:
        """The median; ``None``: nothing was measured."""
        values = [row[key] for row in self._of(case, way) if row.get(key) is not None]
        return statistics.median(values) if values else None

    def spread(self, case: str, way: str, key: str = "s") -> tuple[float, float] | None:
        values = [row[key] for row in self._of(case, way) if row.get(key) is not None]
        return (min(values), max(values)) if values else None

    def rounds(self, case: str, way: str) -> int:
        return sum(1 for row in self._of(case, way) if "error" not in row)

    def fastest(self, case: str) -> float | None:
        """Of the peers; one that loses peaks too."""
        return min((s for peer in PEERS if (s := self.of(case, peer)) is not None), default=None)

    def estimated(self, case: str, way: str) -> bool:
        """Whether any of them was stopped and scaled."""
        return any(row.get("done", 1) < 1 for row in self._of(case, way))

    def errors(self, case: str, way: str) -> list[str]:
        return [row["error"] for row in self._of(case, way) if "error" in row]

    def wrong(self, case: str, way: str) -> int:
        return sum(1 for row in self._of(case, way) if row.get("right") is False)

    def _of(self, case: str, way: str) -> list[dict[str, Any]]:
        return [row for row in self._found if row["case"] == case and row["way"] == way]


def rows_of(found: Found, links: Sequence[Link], payloads: dict[str, dict[str, float]]) -> list[Row]:
    """All rows, link by link; the last ones are the agent's."""
    rows = []
    for link in links:
        medians = Medians(found, link.name)
        for case in CASES:
            for key, words in (("preview_s", "preview"), ("partial_s", "first partial"), ("s", "")):
                if medians.of(case.name, OURS, key) is None and medians.of(case.name, DEBIAN, key) is None and (
                        case.name != "download" or key != "s"):
                    continue
                if key == "preview_s" and not _has_preview(case.name):
                    continue
                title = f"{case.title}: {words}" if words else case.title
                rows.append(_row(medians, link, case.name, title, key, payloads))
    return [*rows, *_agent(found)]


def _has_preview(case: str) -> bool:
    return case.startswith(("first", "slices", "jump"))


def _row(medians: Medians, link: Link, case: str, title: str, key: str,
         payloads: dict[str, dict[str, float]]) -> Row:
    limit = _limit(case, key, link, payloads)
    row: Row = {"link": link.name, "case": case, "key": key, "title": title, "unit": "s", "limit": limit[0],
                "slow_start": limit[1], "compared_with": limit[2], "ways": {}}
    for way in (OURS, DEBIAN, ONE_THREAD, *PEERS):
        value = medians.of(case, way, key if way in (OURS, DEBIAN, ONE_THREAD) else "s")
        errors = medians.errors(case, way)
        if value is None and not errors:
            continue
        row["ways"][way] = {"median": value, "range": medians.spread(case, way, key), "n": medians.rounds(case, way),
                            "estimated": medians.estimated(case, way), "wrong": medians.wrong(case, way),
                            "errors": errors[:1]}
    for way in (OURS, DEBIAN):
        ours = row["ways"].get(way, {}).get("median")
        if ours is not None:
            row["ways"][way]["to_limit"] = ours / limit[2] if limit[2] else None
            row["ways"][way]["goals"] = [
                {"goal": says, "reached": reached, "asked": asked,
                 "met": reached >= asked if more else reached <= asked}
                for says, reached, asked, more in _goals(case, key, ours, link, medians, limit, payloads)]
    return row


def _limit(case: str, key: str, link: Link,
           payloads: dict[str, dict[str, float]]) -> tuple[float | None, float | None, float | None]:
    """(fluid, with slow start, the one to compare with) in seconds."""
    which = {"first-idle": "eiger4m_u16", "first-warm": "eiger4m_u16", "first-u32": "eiger4m_u32",
             "first-16m": "eiger16m_u32", "roi": "eiger4m_u16", "jump": "eiger4m_u16",
             "slices": "volume_contiguous", "slices-chunked": "volume_chunked"}.get(case)
    if case in ("scrub", "stream"):
        frame = payloads["eiger4m_u16"]["final"] / link.bytes_s
        return frame, None, frame
    if which is None:
        return None, None, None
    size = payloads[which]["preview" if key == "preview_s" else "roi" if case == "roi" else "final"]
    fluid, slow = link.fluid_s(size), link.slow_start_s(size)
    return fluid, slow, slow if case in ("first-idle", "first-u32", "first-16m", "roi") else fluid


def _goals(case: str, key: str, ours: float, link: Link, medians: Medians,
           limit: tuple[float | None, float | None, float | None],
           payloads: dict[str, dict[str, float]]) -> list[Goal]:
    goals: list[Goal] = []

    def faster(than: str, times: float, why: str = "") -> None:
        theirs = medians.of(case, than)
        if theirs is not None:
            goals.append((f"{times:g}× faster than {LABELS[than]}{why}", theirs / ours, times, True))

    if case.startswith("first"):
        assert limit[2] is not None
        most = 3.0 if link.fast else 1.3 if key == "preview_s" else 1.2
        goals.append(("times the limit", ours / limit[2], most, False))
        if case in ("first-idle", "first-warm") and not link.fast and key == "s":
            for than, times in ((SSHFS, 2.5), (TILED, 2.5), (GROVE, 9.0)):
                faster(than, times)
            theirs = medians.of("download", DOWNLOAD)
            if theirs is not None:
                goals.append(("1000× faster than download", theirs / ours, 1000.0, True))
    if case == "scrub":
        if link.fast:
            quickest = medians.fastest(case)
            if quickest is not None:
                goals.append(("2.5× the fastest peer", quickest / ours, 2.5, True))
        elif link.rate_mbit <= 10:
            goals.append(("frames/s", 1 / ours, 15.0, True))
        else:
            assert limit[2] is not None
            goals.append(("share of the link's frames/s", limit[2] / ours, 0.95, True))
    if case == "jump" and key == "s":
        frame = payloads["eiger4m_u16"]["final"] / link.bytes_s
        goals.append(("s at most", ours, 0.03 if link.fast else link.round_trip_ms * 1e-3 + 1.5 * frame, False))
    if case == "ahead":
        goals.append(("s: one display refresh", ours, _DISPLAY_S, False))
    if case == "profile":
        faster(GROVE, 15.0)
        faster(TILED, 30.0)
    if case == "project" and not link.fast:
        if key == "partial_s":
            goals.append(("s until a fair partial", ours, 0.3, False))
        elif (theirs := medians.of("download", DOWNLOAD)) is not None:
            goals.append(("25× sooner than download", theirs / ours, 25.0, True))
    if case == "listing" and not link.fast:
        faster(SSHFS, 8.0)
        faster(PLAIN, 40.0)
    if case == "tree" and not link.fast:
        faster(SSHFS, 4.0)
        faster(GROVE, 60.0)
    if link.fast and key == "s":
        quickest = medians.fastest(case)
        if quickest is not None:
            goals.append(("never slower than any peer", quickest / ours, 1.0, True))
    return goals


def _agent(found: Found) -> list[Row]:
    rows: list[Row] = []

    def row(title: str, unit: str, asked: float | None, values: dict[str, list[float]]) -> None:
        ways = {way: {"median": statistics.median(v), "range": [min(v), max(v)], "n": len(v),
                      "goals": [] if asked is None else [
                          {"goal": f"at most, {unit}", "reached": statistics.median(v), "asked": asked,
                           "met": statistics.median(v) <= asked}]} for way, v in values.items() if v}
        if ways:
            rows.append({"link": "", "case": "agent", "key": "", "title": title, "unit": unit, "limit": None,
                         "slow_start": None, "compared_with": None, "ways": ways})

    def values(case: str, way: str, key: str) -> list[float]:
        return [r[key] for r in found if r["case"] == case and r["way"] == way and key in r]

    for link in dict.fromkeys(r["link"] for r in found if r["case"] == "reconnect"):
        row(f"agent ready after sign-in, {link}", "s", 0.3, {
            way: [r["s"] for r in found if r["case"] == "reconnect" and r["way"] == way and r["link"] == link]
            for way in (OURS, DEBIAN)})
    row("agent: bytes uploaded, with the bitshuffle library", "MB", 2.0, {
        OURS: [v / 1e6 for v in values("connect", OURS, "agent_bytes")],
        DEBIAN: [(r["agent_bytes"] + r["library_bytes"]) / 1e6 for r in found
                 if r["case"] == "connect" and r["way"] == DEBIAN]})
    row("agent: resident memory of the largest process, 16M included", "MB", 300.0, {
        way: [max(r["peak_bytes"] for r in found if r["case"] == "memory" and r["way"] == way) / 1e6]
        for way in (OURS, DEBIAN) if any(r["case"] == "memory" and r["way"] == way for r in found)})
    for title, key, most in (
            ("window: painting a 4M viewport, slowest of three types", "paint_ms", 16.0),
            ("window: colouring and painting a new 4M picture", "together_ms", None),
            ("window: gap of the event loop while streaming, p99", "gap_p99_ms", 25.0)):
        row(title, "s", most and most / 1e3, {OURS: [v / 1e3 for v in values("window", OURS, key)]})
    return rows


def missed(rows: Sequence[Row], wrong: bool = True) -> list[str]:
    """One line a goal that is not met, and one a way of ours that showed something wrong."""
    lines = []
    for row in rows:
        for way in (OURS, DEBIAN):
            told = row["ways"].get(way, {})
            where = f"{row['link']} | {row['title']} | {LABELS[way]}"
            lines += [f"{where}: {goal['reached']:.3g} (asked {goal['asked']:.3g}: {goal['goal']})"
                      for goal in told.get("goals", []) if not goal["met"]]
            if wrong and told.get("wrong"):
                lines.append(f"{where}: WRONG VALUES in {told['wrong']} rounds")
    return lines
