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
from app.agent.opening import shown, what_it_seems
from app.protocol.errors import WireError

IMAGE_PATH = "/image"
KINDS = ("a CBF image", "an EDF image", "a TIFF image", "a BigTIFF image")


class ImageFile:
    """One image file in memory: ``values`` is (height, width), or (frames, height, width) when it holds several."""

    def __init__(self, path: str, kind: str, values: Any, header: Dict[str, str]) -> None:
        self.path = path
        self.kind = kind
        self.values = values
        self.header = header

    def nodes(self, data_path: str, depth: Optional[int], attributes: bool, expand: bool) -> List[Dict[str, Any]]:
        """The tree: a root and ``/image``."""
        root = {"path": "/", "kind": "group", "object": "0"}  # type: Dict[str, Any]
        image = {"path": IMAGE_PATH, "kind": "dataset", "object": "1", "shape": list(self.values.shape),
                 "dtype": str(self.values.dtype), "maxshape": list(self.values.shape)}  # type: Dict[str, Any]
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


def image_kind(path: str) -> str:
    """Which of :data:`KINDS` a file is, from its first bytes; ``""``: none."""
    kind = what_it_seems(path)
    return kind if kind in KINDS else ""


def open_image(path: str, kind: str) -> ImageFile:
    """Read an image file.

    Raises:
        WireError: no fabio, or fabio cannot read it.
    """
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
    return ImageFile(path, kind, values, header)


def no_such_node(path: str, data_path: str) -> WireError:
    """The error for a path that is not in a file."""
    return WireError("not_found", "There is no “%s” in “%s”." % (shown(data_path), shown(os.path.basename(path))),
                     remedy="“tree” lists what is in the file.")


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
