"""Image files that are not HDF5 (CBF, EDF, TIFF, MAR), read with fabio where the site has it.

Such a file looks like an HDF5 file with one dataset ``/image``, its header as attributes; one that holds several
pictures is a stack, and so are the colours of a photograph. Runs in a worker process of the agent, in one thread.
Without fabio: one sentence.
"""

from __future__ import annotations

import bz2
import gzip
import os
from typing import Any, Callable, Dict, List, Optional

from app.agent.default_plot import Found
from app.agent.description import LIMITS_RULE, nothing
from app.agent.openable import Array, Openable, no_such_node
from app.agent.opening import Generation, shown, what_a_head_seems, what_it_seems
from app.agent.pictures import CANNOT_UNDO, CBF, MAR345, FramesOfFile, InMemory, Pictures, Unreadable, first_picture
from app.protocol.errors import WireError

IMAGE_PATH = "/image"
KINDS = (CBF, "an EDF image", "a TIFF image", "a BigTIFF image", MAR345, "an ADSC image")
_PACKED: Dict[str, Callable[..., Any]] = {"a gzip-compressed file": gzip.open, "a bzip2-compressed file": bz2.open}
_HEAD_BYTES = 2048


class ImageFile(Openable):
    """One image file: ``/image`` is (height, width), or (frames, height, width) when it holds several."""

    def __init__(self, path: str, generation: Generation, kind: str, data: Array, header: Dict[str, str]) -> None:
        self.path = path
        self.generation = generation
        self.kind = kind
        self.arrays = {IMAGE_PATH: data}
        self.attributes: Dict[str, Any] = dict(header)

    @property
    def data(self) -> Array:
        return self.arrays[IMAGE_PATH]

    def nodes(self, data_path: str, depth: Optional[int], attributes: bool, expand: bool) -> List[Dict[str, Any]]:
        """The tree: a root and the arrays."""
        root = {"path": "/", "kind": "group", "object": "0"}  # type: Dict[str, Any]
        if attributes:
            root["attributes"] = {"format": self.kind.split(" ", 1)[1]}
        found = []
        for number, (path, array) in enumerate(sorted(self.arrays.items())):
            node = {"path": path, "kind": "dataset", "object": str(number + 1), "shape": list(array.shape),
                    "dtype": str(array.dtype), "maxshape": list(array.shape)}  # type: Dict[str, Any]
            if attributes:
                node["attributes"] = dict(self.attributes) if path == IMAGE_PATH else {}
            found.append(node)
        if not data_path.strip("/"):
            return found if expand else [root] if depth == 0 else [root] + found
        named = [node for node in found if node["path"] == "/" + data_path.strip("/")]
        if not named:
            raise no_such_node(self.path, data_path)
        return [] if expand else named

    def signal(self, data_path: Optional[str]) -> str:
        path = "/" + (data_path or "").strip("/")
        if path != "/" and path not in self.arrays:
            raise no_such_node(self.path, str(data_path))
        return IMAGE_PATH if path == "/" else path

    def array(self, signal: str) -> Array:
        return self.arrays[signal]

    def description(self, data_path: Optional[str]) -> Dict[str, Any]:
        signal = self.signal(data_path)
        data = self.arrays[signal]
        answer = nothing(Found("given" if data_path else "largest", None, None, "", ()))
        answer.update({
            "signal": signal, "axes": [None] * data.ndim, "axes_units": [""] * data.ndim, "limits_rule": LIMITS_RULE,
            "shape": list(data.shape), "dtype": str(data.dtype), "title": shown(os.path.basename(self.path))})
        if data.ndim == 1:
            answer.update({"view": "curve"})
            return answer
        kind = data.dtype.kind
        counts = kind == "i" or (kind == "u" and "TIFF" not in self.kind)
        answer.update({
            "view": "image" if data.ndim == 2 else "stack", "frame": 0,
            "colormap": "inferno" if counts else "gray", "normalization": "log" if counts else "linear",
            "reduction": "max" if counts else "mean"})
        return answer

    def close(self) -> None:
        for array in self.arrays.values():
            array.close()


def image_kind(path: str) -> str:
    """Which of :data:`KINDS` a file is, from its first bytes; ``""``: none."""
    kind = what_it_seems(path)
    if kind in _PACKED:
        try:
            with _PACKED[kind](path, "rb") as file:
                kind = what_a_head_seems(file.read(_HEAD_BYTES), path)
        except (OSError, EOFError):
            return ""
    return kind if kind in KINDS else ""


def open_image(path: str, generation: Generation) -> Optional[ImageFile]:
    """Open an image file; ``None``: it is of another kind.

    Raises:
        WireError: no fabio, or fabio cannot read it.
    """
    try:
        kind = image_kind(path)
    except OSError:
        return None  # opening it as HDF5 says why
    if not kind:
        return None
    name = shown(os.path.basename(path))
    try:
        picture, count = first_picture(path, kind)
    except ImportError as error:
        raise no_fabio("“%s” is %s" % (name, kind), str(error)) from None
    except Unreadable as error:
        raise WireError("damaged", "“%s” is %s that %s." % (name, kind, error), str(error),
                        "Convert it to HDF5." if error.args[0] == CANNOT_UNDO else
                        "If it is being written, wait; else copy it again from where it came.") from error
    data = InMemory(picture.values) if count == 1 else Pictures(count, picture.values, FramesOfFile(path))
    return ImageFile(path, generation, kind, data, picture.header)


def no_fabio(what: str, detail: str) -> WireError:
    """The error for images where the site's Python cannot read them."""
    return WireError("not_hdf5", "%s, and the facility's Python has no fabio to read it." % what, detail,
                     "Ask the facility to install fabio, or convert the image to HDF5.")
