"""The rows as Markdown: one line a case and link, one column a way.

    python -m benchmarks.table RESULT.json…    (several: the links were measured one after the other)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import DEBIAN, LABELS, ONE_THREAD, OURS
from benchmarks.goals import PEERS, Row


def table(rows: Sequence[Row]) -> str:
    """One table; what each mark means stands below it."""
    peers = [peer for peer in PEERS if any(peer in row["ways"] for row in rows)]
    lines = ["| | " + " | ".join(["limit", "**Beamside**", "to the limit", "Debian's Python",
                                 *(LABELS[peer] for peer in peers), "goals"]) + " |",
             "|---|" + "---:|" * (len(peers) + 4) + "---|"]
    link = None
    for row in rows:
        if row["link"] != link:
            link = row["link"]
            lines.append(f"| **{link or 'the agent'}** |" + " |" * (len(peers) + 5))
        ours = row["ways"].get(OURS, {})
        ratio = ours.get("to_limit")
        cells = [_limits(row), _cell(row, OURS), f"{ratio:.2f}×" if ratio else "", _cell(row, DEBIAN),
                 *(_cell(row, peer) for peer in peers), _goals(row)]
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", NOTES])


NOTES = """\
Medians. ~: estimated, that is stopped at its time budget and scaled by the share done. (n): fewer than five rounds.
✗: showed other values than the file has. Limit: one round trip and the smallest lossless payload known (blosc2 with
zstd) on the wire, then with TCP's slow start; “to the limit” is against the one that fits the state of the connection.
Goals: reached / asked."""


def _limits(row: Row) -> str:
    if row["limit"] is None:
        return ""
    both = [seconds(row["limit"])] + ([seconds(row["slow_start"])] if row["slow_start"] else [])
    return " / ".join(both)


def _cell(row: Row, way: str) -> str:
    told: dict[str, Any] = row["ways"].get(way, {})
    if not told:
        return ""
    if told["median"] is None:
        return "failed"
    text = seconds(told["median"]) if row["unit"] == "s" else f"{told['median']:.2f} {row['unit']}"
    if way == OURS and ONE_THREAD in row["ways"] and row["ways"][ONE_THREAD]["median"] is not None:
        text += f" (one thread: {seconds(row['ways'][ONE_THREAD]['median'])})"
    if told.get("estimated"):
        text = "~" + text
    if told["n"] < 5 and row["link"]:
        text += f" ({told['n']})"
    return text + (" ✗" if told.get("wrong") else "")


def _goals(row: Row) -> str:
    said = []
    for way, mark in ((OURS, ""), (DEBIAN, " (Debian)")):
        for goal in row["ways"].get(way, {}).get("goals", []):
            if way == OURS or not goal["met"]:
                said.append(f"{'✓' if goal['met'] else '**missed**'} {goal['goal']}{mark}: "
                            f"{goal['reached']:.3g} / {goal['asked']:.3g}")
    return "; ".join(said)


def plain(value: float) -> str:
    """A power of ten of seconds: ``10 ms``, ``100 s``."""
    return f"{value:g} s" if value >= 1 else f"{1000 * value:g} ms"


def seconds(value: float) -> str:
    """``34 ms``, ``1.20 s``."""
    if value >= 100:
        return f"{value:.0f} s"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{1000 * value:.0f} ms" if value >= 0.01 else f"{1000 * value:.1f} ms"


def joined(files: Sequence[str]) -> list[Row]:
    """The rows of several results: every link's, and once, from the last, those of no link."""
    rows: list[Row] = []
    for name in files:
        rows = [row for row in rows if row["link"]] + json.loads(Path(name).read_text())["rows"]
    return rows


if __name__ == "__main__":
    print(table(joined(sys.argv[1:])))
