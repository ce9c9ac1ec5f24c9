"""``ls``, ``tree``, ``plot`` and ``get``: what the files of a site contain."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from app.commands.context import Context, wait
from app.commands.output import size_text, visible
from app.errors import UsageError
from app.model.data import DataReference, ReadRequest, Reduction, Selection
from app.model.nodes import FolderListing, NodeInfo, NodeKind
from app.model.plot import PlotDescription, View
from app.remote.whole_read import WholeRead, read_whole


def run_ls(arguments: argparse.Namespace, context: Context) -> int:
    target = context.target(arguments.target)
    if target.data_path is not None:
        raise UsageError("ls lists folders; this target names a place inside a file.",
                         remedy=f"Look inside the file with: beamside tree {arguments.target!r}")
    reference = context.reference(arguments.target)
    listing = wait(context.data(target.site).list_folder(reference.file_path))
    context.output.result(listing_json(listing), listing_text(listing))
    return 0


def run_tree(arguments: argparse.Namespace, context: Context) -> int:
    reference = context.reference(arguments.target)
    start = DataReference(reference.site, reference.file_path, reference.data_path or "/")
    nodes = wait(context.data(reference.site).nodes(start, depth=arguments.depth, expand=False))
    context.output.result({"file": str(reference.file_path), "nodes": [node_json(n) for n in nodes]},
                          "\n".join(node_text(n) for n in nodes))
    return 0


def run_plot(arguments: argparse.Namespace, context: Context) -> int:
    reference = context.reference(arguments.target)
    data = context.data(reference.site)
    description = wait(data.plot(reference))
    if arguments.png is not None:
        from app.commands.picture import save_picture
        save_picture(data, reference, description, Path(arguments.png))
    context.output.result(plot_json(description), plot_text(description))
    return 0


def run_get(arguments: argparse.Namespace, context: Context) -> int:
    started = time.monotonic()
    reference = context.reference(arguments.target)
    request = ReadRequest(reference, Selection.parse(arguments.select) if arguments.select else Selection(),
                          parse_fit(arguments.fit) if arguments.fit else None, Reduction(arguments.reduce))
    whole = read_whole(context.data(reference.site), request, Path(arguments.output), wait,
                       lambda done: context.output.say(f"{100 * done:.0f} % read"))
    value = get_json(whole, time.monotonic() - started)
    for sentence in whole.missing:
        context.output.say(visible(f"missing: {sentence}"))
    context.output.result(value, get_text(value, arguments.output))
    return 0


def parse_fit(text: str) -> tuple[int, int]:
    """Read ``HEIGHTxWIDTH``."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UsageError(f"“{text}” is not a size.", remedy="Write --fit HEIGHTxWIDTH, for example --fit 512x512.")
    return int(height), int(width)


def listing_json(listing: FolderListing) -> dict[str, Any]:
    return {"path": str(listing.path), "entries": [
        {"name": e.name, "kind": e.kind.value, "size": e.size, "mtime": e.mtime, "target": e.target}
        for e in listing.entries]}


def listing_text(listing: FolderListing) -> str:
    lines = []
    for entry in listing.entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.mtime)) if entry.mtime is not None else ""
        arrow = f" -> {entry.target}" if entry.target is not None else ""
        slash = "/" if entry.kind.value == "folder" else ""
        lines.append(visible(f"{size_text(entry.size):>9}  {when:16}  {entry.name}{slash}{arrow}"))
    return "\n".join(lines)


def node_json(node: NodeInfo) -> dict[str, Any]:
    """The node as docs/cli.md has it; what does not apply is absent."""
    out: dict[str, Any] = {"path": node.path, "kind": node.kind.value}
    for key in ("object", "same_as", "nx_class"):
        if getattr(node, key) is not None:
            out[key] = getattr(node, key)
    if node.kind is NodeKind.DATASET and (node.shape is not None or node.null_space):
        out["shape"] = None if node.shape is None else list(node.shape)
    for key in ("dtype", "chunks", "maxshape", "filters", "units", "target", "broken", "error"):
        value = getattr(node, key)
        if value is not None:
            out[key] = value
    if node.kind in (NodeKind.GROUP, NodeKind.DATASET, NodeKind.NAMED_TYPE):
        out["attributes"] = node.attributes
    return out


def node_text(node: NodeInfo) -> str:
    depth = 0 if node.path == "/" else node.path.count("/")
    facts = [node.nx_class or ""]
    if node.kind is NodeKind.DATASET:
        facts.append("empty" if node.shape is None else "×".join(map(str, node.shape)) or "scalar")
        facts.append(node.dtype or "")
    if node.units:
        facts.append(f"[{node.units}]")
    if node.target is not None:
        facts.append(f"-> {node.target}" + (" (broken)" if node.broken else ""))
    if node.same_as:
        facts.append(f"= {node.same_as}")
    if node.error:
        facts.append(f"unreadable: {node.error}")
    return "  " * depth + visible("  ".join(f for f in (node.name, *facts) if f))


def plot_json(plot: PlotDescription) -> dict[str, Any]:
    return {"view": plot.view.value, "signal": plot.signal, "axes": list(plot.axes), "errors": plot.errors,
            "auxiliary_signals": list(plot.auxiliary_signals), "interpretation": plot.interpretation,
            "x_scale": plot.x_scale, "y_scale": plot.y_scale, "colormap": plot.colormap,
            "normalization": plot.normalization, "limits": None if plot.limits is None else list(plot.limits),
            "limits_rule": plot.limits_rule, "frame": plot.frame, "rule": plot.rule, "missing": list(plot.missing)}


def plot_text(plot: PlotDescription) -> str:
    if plot.view is View.NONE:
        text = "Nothing in this file can be plotted."
    else:
        shape = "×".join(map(str, plot.shape))
        text = f"{plot.view.value} of {plot.signal} ({shape} {plot.dtype}), found by rule {plot.rule}"
        if plot.limits is not None:
            text += f"; limits {plot.limits[0]:g} to {plot.limits[1]:g} ({plot.limits_rule})"
    return "\n".join(visible(line) for line in (text, *(f"missing: {m}" for m in plot.missing)))


def get_json(whole: WholeRead, seconds: float) -> dict[str, Any]:
    stats = whole.statistics
    return {"signal": whole.signal, "selection": str(whole.selection), "shape": list(whole.shape), "dtype": whole.dtype,
            "exactness": whole.exactness.value, "factor": list(whole.factor), "reduce": whole.reduction.value,
            "min": stats.minimum, "max": stats.maximum, "sum": stats.total, "non_finite": stats.non_finite,
            "masked": stats.masked, "bytes_received": whole.bytes_received, "seconds": round(seconds, 6)}


def get_text(value: dict[str, Any], path: str) -> str:
    shape = "×".join(map(str, value["shape"])) or "scalar"
    return (f"{path}: {shape} {value['dtype']}, {value['exactness']}; min {value['min']}, max {value['max']}, "
            f"sum {value['sum']}; {size_text(value['bytes_received'])} received in {value['seconds']:.3g} s")
