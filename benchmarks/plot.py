"""The rows as a picture for docs/performance.md: bars from the limit to the slowest, readable on light and dark.

    python -m benchmarks.plot RESULT.json… PICTURE.svg    (several: the links were measured one after the other)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.lines import Line2D

from benchmarks.cases import BLOCKS, DEBIAN, DOWNLOAD, GROVE, GROVE_C, LABELS, OURS, PLAIN, SSHFS, STRIDE, TILED
from benchmarks.goals import Row
from benchmarks.table import joined, plain

matplotlib.use("Agg")

_GREY = "#808080"             # 4:1 or so against white and against GitHub's dark
_COLOURS = {OURS: "#1f8fe0", DEBIAN: "#74b9ee", SSHFS: "#d9822b", TILED: "#3c9d5b", STRIDE: "#7dbb8f",
            GROVE: "#b0559d", GROVE_C: "#d08cc2", PLAIN: "#8d6e4a", BLOCKS: "#b89a74", DOWNLOAD: "#8a8f98"}
_OFFSETS = {way: 0.0 if way == OURS else 0.09 * (i - 5) for i, way in enumerate(_COLOURS)}   # so that none hides one
_SHOWN = (("first-idle", "s", "first picture"), ("scrub", "s", "scrub, a frame"), ("roi", "s", "500×500 at 1:1"),
          ("profile", "s", "z-profile, 1000 frames"), ("slices", "s", "three slices, 1024³"),
          ("listing", "s", "20,000 files"), ("tree", "s", "5,000 nodes"))


def draw(rows: Sequence[Row], file: Path) -> None:
    """One panel a link: cases below each other, a mark a way, seconds on a logarithmic axis, a bar at the limit."""
    from matplotlib import pyplot, ticker
    links = list(dict.fromkeys(row["link"] for row in rows if row["link"]))
    matplotlib.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "beamside", "font.size": 9,
                                "font.family": "sans-serif", "text.color": _GREY, "axes.labelcolor": _GREY,
                                "xtick.color": _GREY, "ytick.color": _GREY, "axes.edgecolor": _GREY})
    size = (max(4.2 * len(links), 7.0), 4.0)
    figure, panels = pyplot.subplots(1, len(links), figsize=size, sharey=True, squeeze=False)
    seen: set[str] = set()
    for panel, link in zip(panels[0], links, strict=True):
        for place, (case, key, _) in enumerate(_SHOWN):
            row = next((r for r in rows if r["link"] == link and r["case"] == case and r["key"] == key), None)
            if row is None:
                continue
            if row["compared_with"]:
                panel.plot([row["compared_with"]] * 2, [place - 0.42, place + 0.42], color=_GREY, linewidth=1.5)
            values = {way: told for way, told in row["ways"].items() if way in _COLOURS and told.get("median")}
            for way, told in values.items():
                seen.add(way)
                panel.plot(told["median"], place + _OFFSETS[way], zorder=3 if way == OURS else 2, **_mark(way),
                           fillstyle="none" if told.get("estimated") else "full")
        panel.set_xscale("log")
        panel.set_title(link, color=_GREY, fontsize=10)
        panel.xaxis.set_major_locator(ticker.LogLocator(numticks=6))
        panel.xaxis.set_major_formatter(lambda value, _: plain(value))
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.grid(axis="x", color=_GREY, alpha=0.25, linewidth=0.5)
        panel.set_yticks(range(len(_SHOWN)), [words for _, _, words in _SHOWN])
        panel.tick_params(length=0)
        panel.patch.set_alpha(0)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    panels[0][0].set_ylim(len(_SHOWN) - 0.5, -0.6)
    ways = [way for way in _COLOURS if way in seen]
    handles = [*(Line2D([], [], **_mark(way)) for way in ways), Line2D([], [], color=_GREY, linewidth=1.5)]
    figure.legend(handles, [*(LABELS[way] for way in ways), "limit of the link"],
                  loc="lower center", ncols=4 if len(links) > 1 else 3, frameon=False, labelcolor=_GREY)
    figure.tight_layout(rect=(0, 0.17, 1, 1))
    figure.savefig(file, transparent=True, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=160)
    pyplot.close(figure)


def _mark(way: str) -> dict[str, Any]:
    ours = way in (OURS, DEBIAN)
    return {"marker": "o" if ours else "s", "markersize": 8 if way == OURS else 5.5, "color": _COLOURS[way],
            "linestyle": "none"}


if __name__ == "__main__":
    draw(joined(sys.argv[1:-1]), Path(sys.argv[-1]))
