"""Values for a recipe's parameters from the metadata of its input file, each with where it was found.

Blocking: a few questions to the data service, the values all at once. Any thread, never Qt's. A rule is an NX class
and a field (``NXdetector/distance``) or a whole path (``/exchange/distance``). Offered is only what is sure: the field
of the group that holds the data, else the only one of that class, with a unit that can be converted to the
parameter's. What cannot be read is left out; a form without it is still a form.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.errors import BeamsideError, LinkLostError
from app.model.data import DataReference, ReadRequest
from app.model.nodes import NodeInfo, NodeKind
from app.model.quantities import convert
from app.recipes.fitting import HDF5_SUFFIXES, RESULT, DataFacts
from app.recipes.parameters import problem
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.remote.seams import DataService

_log = logging.getLogger(__name__)
_ANSWER_S = 30.0
_DEPTH = 6                  # an entry's instrument, detector, transformations and what is in them
_MOST_SUBENTRIES = 4
_MOST_VALUES = 100_000      # of a value per frame
_SAME = 1e-6
_PATHS = (ParameterType.FILE, ParameterType.DATASET)


@dataclass(frozen=True)
class MetadataDefault:
    """A value found. ``path``: the node; ``found``: the value as the file has it, with its unit."""

    parameter: str
    value: Any
    path: str
    found: str = ""

    @property
    def note(self) -> str:
        """For people: ``from entry/instrument/detector/distance (1994 mm)``."""
        return f"from {self.path.strip('/')}" + (f" ({self.found})" if self.found else "")


@dataclass(frozen=True)
class InputMetadata:
    """What was found of an input: whether it fits recipes, and values for parameters by name.

    ``said``: of parameters with rules, whether the file says them; not in it: a program may find more than is found
    here (a length without a unit, one of several detectors, the header of an image).
    """

    facts: DataFacts
    defaults: dict[str, MetadataDefault]
    said: dict[str, bool] = field(default_factory=dict)


def input_metadata(data: DataService, reference: DataReference, recipe: Recipe,
                   wait: Callable[[Future[Any]], Any] | None = None) -> InputMetadata:
    """Look into an input of ``recipe``.

    Args:
        reference: the file, with the node that is the data if one was chosen.
        wait: gives a Future's result; raises what it failed with.

    Raises:
        BeamsideError: the file cannot be looked into, or the site did not answer.
    """
    wait = wait or _wait
    nodes, data_path = _survey(data, reference, wait)
    rules = [(parameter, node) for parameter in recipe.parameters for rule in parameter.from_metadata
             if (node := _found(rule, nodes, data_path)) is not None]
    asked = {node.path: data.read(ReadRequest(DataReference(reference.site, reference.file_path, node.path),
                                              statistics=False))
             for parameter, node in rules if parameter.type not in _PATHS and _is_small(node)}
    definitions = _definitions(nodes, _entry_of(data_path) or _default_entry(nodes))
    for definition in definitions:
        asked.setdefault(definition, data.read(ReadRequest(
            DataReference(reference.site, reference.file_path, definition), statistics=False)))
    values: dict[str, np.ndarray] = {}
    for path, future in asked.items():
        try:
            values[path] = wait(future).values
        except BeamsideError as error:
            _log.info("%s of %s could not be read: %s", path, reference.file_path, error.summary)
    found: dict[str, MetadataDefault] = {}
    for parameter, node in rules:
        default = (_path_default(parameter, node, reference) if parameter.type in _PATHS
                   else _default(parameter, node, values.get(node.path)))
        if default is not None and not problem(parameter, default.value):
            found.setdefault(parameter.name, default)
    return InputMetadata(_facts(reference.file_path, nodes, data_path, [values[d] for d in definitions if d in values]),
                         found, _said(recipe, found, nodes, reference.file_path, _entry_of(data_path)))


def metadata_defaults(data: DataService, reference: DataReference, recipe: Recipe,
                      wait: Callable[[Future[Any]], Any] | None = None) -> dict[str, MetadataDefault]:
    """As :func:`input_metadata`: the values only; nothing is asked of the site if no parameter wants any."""
    if not any(parameter.from_metadata for parameter in recipe.parameters):
        return {}
    return input_metadata(data, reference, recipe, wait).defaults


# -- What there is ----------------------------------------------------------------------------------------------------

def _survey(data: DataService, reference: DataReference,
            wait: Callable[[Future[Any]], Any]) -> tuple[tuple[NodeInfo, ...], str]:
    """The nodes of the entry that the data is in, with the file's top level, and the data's path (``""``: none)."""
    site, file_path, data_path = reference.site, reference.file_path, reference.data_path
    if not data_path or data_path == "/":
        data_path = wait(data.plot(DataReference(site, file_path))).signal or ""
        data_path = "" if "::" in data_path else data_path
    top = wait(data.nodes(DataReference(site, file_path, "/"), depth=1, expand=False))
    entry = _entry_of(data_path) if data_path else _default_entry(top)
    if not any(node.path == entry and node.kind is NodeKind.GROUP for node in top):
        return top, data_path
    below = wait(data.nodes(DataReference(site, file_path, entry), depth=_DEPTH, expand=False))
    if not any(n.nx_class for n in below):      # Data Exchange: what belongs together is in several groups on top
        for node in top:
            if node.kind is NodeKind.GROUP and node.path != entry and node.name in ("measurement", "process"):
                below += wait(data.nodes(DataReference(site, file_path, node.path), depth=_DEPTH, expand=False))
    return (*(n for n in top if n.path != entry), *below), data_path


def _entry_of(data_path: str) -> str:
    return "/" + data_path.strip("/").partition("/")[0] if data_path.strip("/") else ""


def _default_entry(top: Sequence[NodeInfo]) -> str:
    """The root's ``default``, else the first NXentry."""
    root = next((node for node in top if node.path == "/"), None)
    named = f"/{root.attributes.get('default', '')}" if root is not None else "/"
    if named != "/" and any(node.path == named for node in top):
        return named
    return next((node.path for node in top if node.nx_class in ("NXentry", "NXsubentry")), "")


def _found(rule: str, nodes: Sequence[NodeInfo], data_path: str) -> NodeInfo | None:
    """The node a rule means: that of the groups around the data, else the only one in the entry."""
    by_path = {node.path: node for node in nodes}
    if rule.startswith("/"):
        node = by_path.get(rule)
        return node if node is not None and _is_dataset(node) else None
    nx_class, _, field = rule.partition("/")
    groups = [node.path for node in nodes if node.nx_class == nx_class]
    around = set(_groups_around(data_path, nodes))
    own = [path for path in groups if path in around]
    candidates = [node for path in own or groups
                  if (node := by_path.get(f"{path.rstrip('/')}/{field}")) is not None and _is_dataset(node)]
    different = {node.object or node.path: node for node in candidates}
    if own and different:
        return max(different.values(), key=lambda node: len(node.path))     # the innermost
    return next(iter(different.values())) if len(different) == 1 else None


def _said(recipe: Recipe, found: Mapping[str, MetadataDefault], nodes: Sequence[NodeInfo], file_path: PurePosixPath,
          entry: str) -> dict[str, bool]:
    """What the file says, and what it certainly does not: in the whole of its entry there is nothing of that name."""
    by_path = {node.path: node for node in nodes}
    all_seen = file_path.suffix.lower() in HDF5_SUFFIXES and (
        (entry in by_path and by_path[entry].nx_class == "NXentry")
        or not any(node.kind is NodeKind.GROUP and node.path != "/" for node in nodes))

    def is_there(rule: str) -> bool:
        if rule.startswith("/"):
            return rule in by_path or not rule.startswith(f"{entry}/")
        nx_class, _, name = rule.partition("/")
        return any(node.nx_class == nx_class and f"{node.path.rstrip('/')}/{name}" in by_path for node in nodes)

    return {parameter.name: parameter.name in found for parameter in recipe.parameters if parameter.from_metadata
            and (parameter.name in found or (all_seen and not any(map(is_there, parameter.from_metadata))))}


def _groups_around(data_path: str, nodes: Sequence[NodeInfo]) -> list[str]:
    """The groups that hold the data, under whatever path: links lead from an NXdata into the detector."""
    if not data_path:
        return []
    node = _behind_links(data_path, nodes)
    paths = {data_path} | ({node.path} if node is not None else set())
    if node is not None and node.object:
        paths |= {other.path for other in nodes if other.object == node.object or (
            other.kind is NodeKind.SOFT_LINK and other.target and _joined(other.path, other.target) == node.path)}
    return [str(parent) for path in sorted(paths) for parent in PurePosixPath(path).parents]


def _behind_links(path: str, nodes: Sequence[NodeInfo]) -> NodeInfo | None:
    """The node at a path, or what soft links there lead to; ``None``: not in the entry."""
    by_path = {node.path: node for node in nodes}
    node = by_path.get(path)
    for _ in range(8):
        if node is None or node.kind is not NodeKind.SOFT_LINK or not node.target:
            break
        node = by_path.get(_joined(node.path, node.target))
    return node


def _joined(link: str, target: str) -> str:
    if target.startswith("/"):
        return target
    parts: list[str] = []
    for part in f"{link.rpartition('/')[0]}/{target}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _is_dataset(node: NodeInfo) -> bool:
    return node.kind is NodeKind.DATASET or (node.kind is NodeKind.SOFT_LINK and not node.broken)


def _is_small(node: NodeInfo) -> bool:
    return node.shape is None or math.prod(node.shape) <= _MOST_VALUES


# -- What it says -----------------------------------------------------------------------------------------------------

def _default(parameter: Parameter, node: NodeInfo, values: np.ndarray | None) -> MetadataDefault | None:
    if values is None or values.size == 0:
        return None
    if values.dtype.kind in "SUO":
        if parameter.type not in (ParameterType.TEXT, ParameterType.CHOICE) or values.size != 1:
            return None
        return MetadataDefault(parameter.name, _text(values), node.path)
    if values.dtype.kind not in "biuf":
        return None
    if parameter.type is ParameterType.RANGE:
        numbers = [_number(values.reshape(-1)[i:i + 1]) for i in range(2)] if values.size == 2 else []
    else:
        numbers = [_number(values)]
    converted = [_converted(parameter, number, node.units or "") for number in numbers]
    if not converted or any(number is None for number in converted):
        return None
    kept = tuple(number for number in converted if number is not None)
    value: Any = kept if parameter.type is ParameterType.RANGE else kept[0]
    if parameter.type is ParameterType.BOOLEAN:
        value = bool(value)
    elif parameter.type is ParameterType.INTEGER:
        if value != round(value):
            return None
        value = round(value)
    elif parameter.type not in (ParameterType.FLOAT, ParameterType.RANGE):
        return None
    said = ""
    if kept != tuple(numbers):
        said = " to ".join(f"{n:.6g}" for n in numbers if n is not None) + f" {node.units or ''}".rstrip()
    return MetadataDefault(parameter.name, value, node.path, said)


def _number(values: np.ndarray) -> float | None:
    """The one value of an array, of which all have to be the same; ``None``: they are not, or it is not finite."""
    flat = values.reshape(-1).astype(np.float64)
    first = float(flat[0])
    if not math.isfinite(first) or not np.allclose(flat, first, rtol=_SAME, atol=0.0):
        return None
    return first


def _converted(parameter: Parameter, number: float | None, unit: str) -> float | None:
    """In the parameter's unit, without the noise that conversion adds to the last digits."""
    if number is None:
        return None
    value = convert(number, unit, parameter.unit)
    if value is None or not math.isfinite(value):
        return None
    return value if value == number else float(f"{value:.12g}")


def _text(values: np.ndarray) -> str:
    text = values.reshape(-1)[0]
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _path_default(parameter: Parameter, node: NodeInfo, reference: DataReference) -> MetadataDefault:
    return MetadataDefault(parameter.name, f"{reference.file_path}::{node.path}", node.path)


def _facts(file_path: PurePosixPath, nodes: Sequence[NodeInfo], data_path: str,
           definitions: Sequence[np.ndarray]) -> DataFacts:
    by_path = {node.path: node for node in nodes}
    around = _groups_around(data_path, nodes)
    classes = [name for path in around if path in by_path and (name := by_path[path].nx_class)]
    classes += [_text(definition) for definition in definitions if definition.size == 1]
    entry = _entry_of(data_path)
    if _is_result(nodes, entry):
        classes.append(RESULT)
    layouts = [name for name, sign in (("data-exchange", "/exchange/data"), ("bliss", f"{entry}/measurement"),
                                       ("bliss-tomo", f"{entry}/technique/scan"))
               if sign in by_path and (name != "bliss" or by_path.get(f"{entry}/instrument") is not None)]
    is_image = file_path.suffix.lower() not in HDF5_SUFFIXES
    if is_image and "#" in file_path.name:
        layouts.append("image-folder")
    node = _behind_links(data_path, nodes)
    shape = node.shape if node is not None and node.kind is NodeKind.DATASET else None
    kind = np.dtype(node.dtype).kind if shape is not None and node is not None and _is_plain(node.dtype) else ""
    return DataFacts(file_path, tuple(dict.fromkeys(classes)), tuple(layouts),
                     len(shape) if shape is not None else None, kind)


def _definitions(nodes: Sequence[NodeInfo], entry: str) -> list[str]:
    """Where the entry and its subentries (as in ``/entry1/tomo_entry``) say what they are."""
    own = [node.path for node in nodes if node.nx_class == "NXsubentry" and node.path.startswith(f"{entry}/")]
    there = {node.path for node in nodes if _is_dataset(node)}
    return [path for group in [entry, *own[:_MOST_SUBENTRIES]] if (path := f"{group}/definition") in there]


def _is_result(nodes: Sequence[NodeInfo], entry: str) -> bool:
    """An entry that says how it was computed and has no detector: corrected frames keep theirs."""
    classes = {node.nx_class for node in nodes if node.path.startswith(f"{entry}/")}
    return "NXprocess" in classes and "NXdetector" not in classes


def _is_plain(dtype: str | None) -> bool:
    try:
        return dtype is not None and np.dtype(dtype) is not None
    except (TypeError, ValueError, SyntaxError):     # of a type of several fields, numpy says any of these
        return False


def _wait(future: Future[Any]) -> Any:
    try:
        return future.result(timeout=_ANSWER_S)
    except (TimeoutError, FutureTimeoutError, CancelledError):
        raise LinkLostError("The facility did not answer in time.", remedy="Try again.") from None
