"""Reads how a result came about, from the NXprocess group that recipes write. Blocking; any thread, never Qt's.

Results are files like any other and may hold anything: wrong JSON, wrong types, megabytes, another program's NXprocess.
What is not understood is left out, or told in one sentence; nothing is executed and little is read.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

import numpy as np

from app.errors import BeamsideError
from app.model.data import DataReference, ReadRequest, Selection
from app.model.nodes import NodeInfo, NodeKind
from app.model.provenance import Provenance
from app.remote.seams import DataService

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_FIELDS = ("recipe", "recipe_version", "parameters", "inputs", "job_id", "scheduler_id", "program", "version", "date",
           "end_time")
_LONGEST = {"parameters": 256 * 1024, "inputs": 256 * 1024}
_LONGEST_WORD = 200
_RECIPE = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_ENTRIES, _MOST_GROUPS, _DEEPEST, _MOST_INPUTS = 4, 8, 12, 10_000
_BACKGROUND = 5


def read_provenance(data: DataService, reference: DataReference, timeout_s: float = 15.0) -> Provenance | None:
    """The provenance of the entry that ``reference`` lies in (of the file's first entry that has one, if it names no
    node); ``None``: it says nothing that a recipe of ours would have written.

    Raises:
        BeamsideError: the file cannot be read.
    """
    entries = _entries(data, reference, timeout_s)
    for entry in entries[:_MOST_ENTRIES]:
        nodes = _got(data.nodes(_at(reference, entry), depth=1, expand=False), timeout_s) or ()
        groups = [node.path for node in nodes if node.nx_class == "NXprocess"]
        for path in groups[:_MOST_GROUPS]:
            found = _of_group(data, _at(reference, path), timeout_s)
            if found is not None:
                return found
    return None


def provenance_from(result: DataReference, said: Mapping[str, Any]) -> Provenance | None:
    """What the fields of a group say; values of any kind.

    Returns:
        ``None``: no recipe of ours wrote it.
    """
    recipe = _word(said.get("recipe"))
    if not _RECIPE.fullmatch(recipe):
        return None
    parameters = _json(said.get("parameters"))
    inputs = _json(said.get("inputs"))
    faults = []
    if not isinstance(parameters, dict):
        faults.append("its parameters")
    if not isinstance(inputs, list) or not all(_is_input(text) for text in inputs) or len(inputs) > _MOST_INPUTS:
        faults.append("what it was made from")
        inputs = []
    date = _DATE.match(_word(said.get("date")) or _word(said.get("end_time")))
    return Provenance(
        result, recipe, _word(said.get("recipe_version")), parameters if isinstance(parameters, dict) else {},
        tuple(inputs), _word(said.get("job_id")), _word(said.get("scheduler_id")), _word(said.get("program")),
        _word(said.get("version")), date.group() if date else "",
        f"The result does not say {' and '.join(faults)} in a way that can be read." if faults else "")


def _entries(data: DataService, reference: DataReference, timeout_s: float) -> list[str]:
    first = reference.data_path.strip("/").split("/", 1)[0]
    if first:
        return [f"/{first}", "/"]
    nodes = _got(data.nodes(_at(reference, "/"), depth=1, expand=False), timeout_s) or ()
    return [node.path for node in nodes if node.kind is NodeKind.GROUP and node.nx_class == "NXentry"]


def _of_group(data: DataService, group: DataReference, timeout_s: float) -> Provenance | None:
    nodes = {node.name: node for node in _got(data.nodes(group, depth=1, expand=False), timeout_s) or ()}
    there = [name for name in _FIELDS if name in nodes and _is_small_text(nodes[name], name)]
    if "recipe" not in there:
        return None
    said = {"recipe": _texts(data, group, ["recipe"], timeout_s).get("recipe")}
    if not _RECIPE.fullmatch(_word(said["recipe"])):
        return None
    said.update(_texts(data, group, [name for name in there if name != "recipe"], timeout_s))
    return provenance_from(group, said)


def _texts(data: DataService, group: DataReference, names: Iterable[str], timeout_s: float) -> dict[str, Any]:
    """The values of scalar text fields, asked for at once; those that do not come are left out."""
    asked = {name: data.read(ReadRequest(_at(group, f"{group.data_path}/{name}"), Selection(), statistics=False),
                             priority=_BACKGROUND) for name in names}
    out: dict[str, Any] = {}
    for name, future in asked.items():
        try:
            block = _got(future, timeout_s)
        except BeamsideError as error:
            _log.info("%s of %s cannot be read: %s", name, group, error.summary)
            continue
        if block is not None and block.values.shape == ():
            value = np.asarray(block.values)[()]
            out[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return out


def _got(future: Future[_T], timeout_s: float) -> _T | None:
    """What was asked for; ``None``: not in time, and then it is taken back."""
    try:
        return future.result(timeout_s)
    except FutureTimeoutError:
        future.cancel()
        return None


def _at(reference: DataReference, path: str) -> DataReference:
    return DataReference(reference.site, reference.file_path, path)


def _is_small_text(node: NodeInfo, name: str) -> bool:
    """A scalar text; one of fixed length says how long it is."""
    if node.kind is not NodeKind.DATASET or node.shape != () or node.target is not None:
        return False
    fixed = re.fullmatch(r"[|<>=]?([SU])(\d+)", node.dtype or "")
    if fixed:
        return int(fixed[2]) <= _LONGEST.get(name, _LONGEST_WORD)
    return node.dtype in ("object", "str", "O")


def _word(value: Any) -> str:
    """A short text, else ``""``."""
    return str(value) if isinstance(value, str) and len(value) <= _LONGEST_WORD else ""


def _json(value: Any) -> Any:
    """What a JSON text holds; ``None``: it is none, or too long, or too deep."""
    if not isinstance(value, str) or len(value) > _LONGEST["parameters"]:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if _is_shallow(found) else None


def _is_shallow(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_is_shallow(item, depth + 1) for item in inner)


def _is_input(text: Any) -> bool:
    return isinstance(text, str) and text.startswith("/") and len(text) <= 4096 and "\0" not in text \
        and "\n" not in text
