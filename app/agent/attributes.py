"""Attributes and stored values as JSON, by the rules of docs/cli.md.

Runs in a worker process of the agent, in one thread. One unreadable attribute hides no other. Never follows
references further than to their path, and takes no more memory for a value than it may send.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Dict

import h5py
import numpy as np
from h5py import h5a, h5r, h5s, h5t

from app.agent.links import decoded

MAX_ELEMENTS = 4096
MAX_BYTES = 64 * 1024


def attributes_of(node: Any) -> Dict[str, Any]:
    """All attributes of a node, by name, as JSON."""
    found = {}  # type: Dict[str, Any]
    try:
        count = h5a.get_num_attrs(node.id)
    except Exception as error:
        return {"": {"error": sentence(error)}}
    for index in range(count):
        try:
            attribute = h5a.open(node.id, index=index)
            name = _name(attribute)
        except Exception as error:
            found.setdefault("", {"error": sentence(error)})
            continue
        found[name] = attribute_json(attribute, node)
    return found


def attribute_json(attribute: Any, node: Any) -> Any:
    """One open attribute (h5py AttrID) as JSON."""
    try:
        space = attribute.get_space()
        if space.get_simple_extent_type() == h5s.NULL:
            return None
        dtype = attribute.dtype
        base, below = dtype.subdtype or (dtype, ())
        value_shape = tuple(space.get_simple_extent_dims()) + below
        elements = 1
        for length in value_shape:
            elements *= int(length)
        if elements > MAX_ELEMENTS or (elements * base.itemsize > MAX_BYTES and not dtype.hasobject):
            return truncated(value_shape, dtype)
        value = np.zeros(value_shape, base)
        if elements:
            attribute.read(value, mtype=h5t.py_create(dtype))
        value = value if value_shape else value[()]
        if dtype.hasobject and _weight(value) > MAX_BYTES:
            return truncated(value_shape, dtype)
        return value_json(value, node)
    except Exception as error:
        return {"error": sentence(error)}


def get_attribute(node: Any, name: str) -> Any:
    """An attribute's JSON value, or ``None`` if it is absent or unreadable."""
    try:
        encoded = name.encode("utf-8", "surrogateescape")
        if not h5a.exists(node.id, encoded):
            return None
        value = attribute_json(h5a.open(node.id, encoded), node)
    except Exception:
        return None
    return None if isinstance(value, dict) and ("error" in value or "truncated" in value) else value


def get_text(node: Any, name: str) -> str:
    """An attribute that should be text (or an array of one text); ``""`` if it is not."""
    return text_of(get_attribute(node, name))


def text_of(value: Any) -> str:
    """The text in an attribute's JSON value, alone or in an array of one; ``""`` if there is none."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip("\x00 ") if isinstance(value, str) else ""


def truncated(shape: Any, dtype: Any) -> Dict[str, Any]:
    """What stands for a value too long to be sent."""
    return {"truncated": True, "shape": [int(n) for n in shape], "dtype": str(dtype)}


def value_json(value: Any, node: Any = None) -> Any:
    """Any value h5py gives as JSON; ``node`` is needed to name what references point to."""
    if isinstance(value, h5py.Empty) or value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return _float(float(value))
    if isinstance(value, (complex, np.complexfloating)):
        return [_float(float(value.real)), _float(float(value.imag))]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, (h5r.Reference, h5r.RegionReference)):
        return {"reference": reference_path(value, node)}
    if isinstance(value, np.void):
        if value.dtype.names:
            return {name: value_json(value[name], node) for name in value.dtype.names}
        return {"base64": base64.b64encode(value.tobytes()).decode("ascii")}
    if isinstance(value, np.ndarray):
        return _array(value, node)
    if isinstance(value, (list, tuple)):
        return [value_json(item, node) for item in value]
    return {"error": "A value of type %s cannot be shown." % type(value).__name__}


def reference_path(reference: Any, node: Any) -> Any:
    """The path an object or region reference points to; ``None``: nowhere."""
    if not reference or node is None:
        return None
    try:
        name = h5r.get_name(reference, node.id)
    except Exception:
        return None
    return decoded(name) if name else None


def sentence(error: BaseException) -> str:
    """What the library said, as a line without its wrapping."""
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return " ".join(text.split()) or type(error).__name__


def _name(attribute: Any) -> str:
    name = attribute.name
    return decoded(name) if isinstance(name, bytes) else str(name)


def _float(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def _text(value: str) -> Any:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")}
    return value


def _bytes(value: bytes) -> Any:
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(bytes(value)).decode("ascii")}


def _array(value: Any, node: Any) -> Any:
    if value.ndim == 0:
        return value_json(value[()], node)
    if value.dtype.kind in "iub":
        return value.tolist()
    if value.dtype.kind == "V" and value.dtype.names is None:
        return _opaque(value)
    return [value_json(item, node) for item in value]


def _opaque(value: Any) -> Any:
    if value.ndim:
        return [_opaque(item if isinstance(item, np.ndarray) else np.asarray(item, value.dtype)) for item in value]
    return {"base64": base64.b64encode(value.tobytes()).decode("ascii")}


def _weight(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else len(value)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        if value.dtype.names:
            return sum(_weight(value[name]) for name in value.dtype.names)
        return sum(_weight(item) for item in value.reshape(-1))
    if isinstance(value, np.void) and value.dtype.names:
        return sum(_weight(value[name]) for name in value.dtype.names)
    return int(getattr(value, "nbytes", 8))
