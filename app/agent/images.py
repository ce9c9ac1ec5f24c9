"""Image files that are not HDF5 (CBF, EDF, TIFF), read with fabio where the site has it.

Such a file looks like an HDF5 file with one dataset ``/image``, its header as attributes. Runs in a worker process
of the agent, in one thread. Without fabio: one sentence.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Dict, List, Optional

import numpy as np

from app.agent.attributes import MAX_BYTES
from app.agent.default_plot import Found
from app.agent.description import LIMITS_RULE, nothing
from app.agent.openable import Array, Openable, no_such_node
from app.agent.opening import Generation, shown, what_it_seems
from app.protocol.errors import WireError

IMAGE_PATH = "/image"
KINDS = ("a CBF image", "an EDF image", "a TIFF image", "a BigTIFF image")


class InMemory(Array):
    """An array that was read as a whole."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self.shape = tuple(int(length) for length in values.shape)
        self.dtype = values.dtype

    def __getitem__(self, index: Any) -> Any:
        return np.array(self._values[index])


class ImageFile(Openable):
    """One image file: ``data`` is (height, width), or (frames, height, width) when it holds several."""

    def __init__(self, path: str, generation: Generation, kind: str, data: Array, header: Dict[str, str]) -> None:
        self.path = path
        self.generation = generation
        self.kind = kind
        self.data = data
        self.header = header

    def nodes(self, data_path: str, depth: Optional[int], attributes: bool, expand: bool) -> List[Dict[str, Any]]:
        """The tree: a root and ``/image``."""
        root = {"path": "/", "kind": "group", "object": "0"}  # type: Dict[str, Any]
        image = {"path": IMAGE_PATH, "kind": "dataset", "object": "1", "shape": list(self.data.shape),
                 "dtype": str(self.data.dtype), "maxshape": list(self.data.shape)}  # type: Dict[str, Any]
        if attributes:
            root["attributes"] = {"format": self.kind.split(" ", 1)[1]}
            image["attributes"] = dict(self.header)
        if data_path.rstrip("/") == IMAGE_PATH:
            return [] if expand else [image]
        if data_path.strip("/"):
            raise no_such_node(self.path, data_path)
        if expand:
            return [image]
        return [root] if depth == 0 else [root, image]

    def signal(self, data_path: Optional[str]) -> str:
        if data_path not in (None, "", "/", IMAGE_PATH):
            raise no_such_node(self.path, str(data_path))
        return IMAGE_PATH

    def array(self, signal: str) -> Array:
        return self.data

    def description(self, data_path: Optional[str]) -> Dict[str, Any]:
        self.signal(data_path)
        answer = nothing(Found("given" if data_path else "largest", None, None, "", ()))
        kind = self.data.dtype.kind
        counts = kind == "i" or (kind == "u" and "TIFF" not in self.kind)
        answer.update({
            "view": "image" if self.data.ndim == 2 else "stack", "signal": IMAGE_PATH,
            "axes": [None] * self.data.ndim, "axes_units": [""] * self.data.ndim,
            "colormap": "inferno" if counts else "gray", "normalization": "log" if counts else "linear",
            "limits_rule": LIMITS_RULE, "frame": 0, "shape": list(self.data.shape),
            "dtype": str(self.data.dtype), "title": shown(os.path.basename(self.path)),
            "reduction": "max" if counts else "mean"})
        return answer


def image_kind(path: str) -> str:
    """Which of :data:`KINDS` a file is, from its first bytes; ``""``: none."""
    kind = what_it_seems(path)
    return kind if kind in KINDS else ""


def open_image(path: str, generation: Generation) -> Optional[ImageFile]:
    """Read an image file; ``None``: it is of another kind.

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
        logging.getLogger("fabio").setLevel(logging.CRITICAL)
        import fabio
    except Exception as error:
        raise WireError("not_hdf5", "“%s” is %s, and the facility's Python has no fabio to read it." % (name, kind),
                        str(error), "Ask the facility to install fabio, or convert the image to HDF5.") from None
    try:
        with fabio.open(path) as image:
            header = {str(key): _short(value) for key, value in image.header.items()}
            values = _frames(image)
    except Exception as error:
        raise WireError("damaged", "“%s” is %s that cannot be read." % (name, kind), str(error),
                        "Copy it again from where it came.") from error
    return ImageFile(path, generation, kind, InMemory(values), header)


def _frames(image: Any) -> Any:
    count = int(getattr(image, "nframes", 1) or 1)
    first = np.ascontiguousarray(image.data)
    if count == 1:
        return first
    frames = [np.asarray(image.getframe(number).data) for number in range(count)]
    if any(frame.shape != first.shape or frame.dtype != first.dtype for frame in frames):
        return first
    return np.stack(frames)


def _short(value: Any) -> str:
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_BYTES else text[:MAX_BYTES]
