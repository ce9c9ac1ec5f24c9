"""What a worker process of the agent does with data files: finds what a request names, and who answers it.

One :class:`Service` per worker, called from one thread. Never writes, never locks; every failure a person can meet is
a ``WireError`` with one sentence and what to do.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Tuple

from app.agent import lines, links, nodes, showing, stack
from app.agent.attributes import sentence
from app.agent.frames import Readers
from app.agent.holding import Holding, bytes_of
from app.agent.opening import file_path_of, shown
from app.agent.plots import Plots, Shown, limits_of
from app.agent.stack import Waiting
from app.protocol.errors import WireError

Reply = Tuple[Dict[str, Any], List[Any]]

LARGE_FRAME = 32 * 2 ** 20


class Service:
    """Answers requests about files; ``cache_bytes`` bounds what it keeps, most of it selections and decoded chunks.

    ``threads`` bounds how many may compute at once in this process, the caller's included.
    """

    def __init__(self, cache_bytes: int = 256 * 2 ** 20, threads: int = 2) -> None:
        self._threads = threads
        self._holding = Holding(cache_bytes, threads)
        self._plots = Plots(self._holding)
        self._readers: List[Readers] = []

    def handle(self, method: str, params: Dict[str, Any], waiting: Optional[Waiting] = None) -> Reply:
        """Answer one request; what is long tells ``waiting`` of its progress, and stops when nobody waits.

        Raises:
            WireError: whatever went wrong, in a sentence.
        """
        answer = {"nodes": self._nodes, "plot": self._plot, "read": self._read, "show": self._show,
                  "line": self._line, "project": self._project, "profile": self._profile}.get(method)
        if answer is None:
            raise WireError("internal", "The agent does not know the request “%s”." % method)
        file_path = file_path_of(str(params["file"]))
        try:
            return answer(file_path, params, waiting or Waiting())
        except links.BrokenLink as broken:
            raise _not_there(broken, file_path) from None
        except MemoryError as error:
            raise WireError("unreadable", "There is not enough memory at the facility for this request.",
                            sentence(error), "Select less of the data.") from error
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise WireError("unreadable", "“%s” holds something that cannot be read here."
                            % shown(os.path.basename(file_path)), "%s: %s" % (type(error).__name__, sentence(error)),
                            "Try again; if it was not being written or replaced meanwhile, it is damaged.") from error

    def close(self) -> None:
        """Close every file and forget everything."""
        self._plots.close()
        for sources, direct in self._readers:
            sources.close()
            direct.close()
        del self._readers[:]
        self._holding.close()

    def _nodes(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        data_path = str(params.get("data_path") or "/")
        depth, attributes = params.get("depth"), bool(params.get("attributes", True))
        expand = bool(params.get("expand", False))
        other = self._holding.other(file_path)
        if other is not None:
            return {"file": file_path, "nodes": other.nodes(data_path, depth, attributes, expand)}, []
        place = links.resolve(self._holding.root(file_path, data_path, depth).node, data_path)
        if expand:
            if nodes.kind_of(place.node) != "group":
                return {"file": file_path, "nodes": []}, []
            return {"file": file_path, "nodes": nodes.children(place, _tidy(data_path), attributes)}, []
        found = nodes.walk(place._replace(data_path=_tidy(data_path)), depth, attributes)
        return {"file": file_path, "nodes": found}, []

    def _plot(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        data_path = params.get("data_path")
        known = self._plots.known(file_path, data_path)
        if known is not None:
            return known, []
        found = self._plots.shown(file_path, data_path)
        if found.source is not None:
            try:
                selected = self._holding.select(found.source, found.items, waiting.check)
                found.answer["limits"] = limits_of(selected)
            except WireError as error:
                _note(found, error)
        self._plots.keep(found)
        return found.answer, []

    def _read(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        source = self._holding.source(file_path, params.get("data_path"))
        result, arrays, _ = showing.answer(self._holding, showing.asked_of(source, params), waiting)
        return result, arrays

    def _show(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        """The description first, then what ``read`` says of the picture it begins with."""
        data_path = params.get("data_path")
        found = self._plots.shown(file_path, data_path)
        if not found.is_picture or found.source is None:
            description, _ = self._plot(file_path, params, waiting)
            return {"part": "whole", "description": description, "selection": None}, []
        waiting.tell({"part": "description", "description": dict(found.answer), "selection": found.items}, [],
                     urgent=True)
        fit, preview = (None, None) if found.is_colour else (params.get("fit"), params.get("preview"))
        asked = showing.Asked(found.source, found.items, fit, found.answer["reduction"], True, preview, True)
        try:
            result, arrays, selected = showing.answer(self._holding, asked, waiting)
        except WireError as error:
            _note(found, error)
            return {"part": "whole", "description": found.answer, "selection": None}, []
        found.answer["limits"] = limits_of(selected)
        self._plots.keep(found)
        return dict(result, description=found.answer, selection=found.items), arrays

    def _line(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        source = self._holding.source(file_path, params.get("data_path"))
        return lines.answer(self._holding, source, params, waiting)

    def _project(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        return stack.answer("project", params, self._stack(file_path, params), waiting, self._threads)

    def _profile(self, file_path: str, params: Dict[str, Any], waiting: Waiting) -> Reply:
        return stack.answer("profile", params, self._stack(file_path, params), waiting, self._threads, self._readers)

    def _stack(self, file_path: str, params: Dict[str, Any]) -> stack.Stack:
        source = self._holding.source(file_path, params.get("data_path"))
        if len(source.shape) >= 2 and bytes_of(source.shape[-2:], source.dtype) > LARGE_FRAME:
            self._holding.forget_numbers()
        home = source.place.file_path if source.place is not None else source.file_path
        return stack.Stack(source.signal, source.stored, home, source.place is None, self._holding.pixel_mask(source),
                           source.generation)


def _note(found: Shown, error: WireError) -> None:
    """Say in a description why its first frame cannot be read; a cancelled request ends instead."""
    if error.kind == "cancelled":
        raise error
    found.answer["missing"].append(error.summary)


def _tidy(data_path: str) -> str:
    return "/" + "/".join(part for part in data_path.split("/") if part)


def _not_there(broken: links.BrokenLink, file_path: str) -> WireError:
    name = shown(os.path.basename(file_path))
    if broken.target:
        return WireError("not_found", "In “%s” the link %s leads nowhere: there is no %s."
                         % (name, shown(broken.where), shown(broken.target)),
                         remedy="The file it points to may not have been copied along.")
    return WireError("not_found", "There is no “%s” in “%s”." % (shown(broken.where), name),
                     remedy="“tree” lists what is in the file.")
