"""Selections as they come over the wire, tied to a shape: what exactly is read, and what shape comes back.

Numpy's basic indexing: integers drop their axis, negative ones count from the end, slices clip, ``...`` fills.
Pure; any thread.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Tuple

from app.protocol.errors import WireError


class Axis(NamedTuple):
    """One axis of a selection: ``length`` elements from ``start`` by ``step`` (negative: backwards)."""

    start: int
    length: int
    step: int
    dropped: bool

    @property
    def bounds(self) -> Tuple[int, int]:
        """(first, one past last) element touched, in ascending order."""
        if self.length == 0:
            return 0, 0
        last = self.start + (self.length - 1) * self.step
        return min(self.start, last), max(self.start, last) + 1

    @property
    def within_bounds(self) -> slice:
        """What to take of the elements inside :attr:`bounds`."""
        return slice(None, None, self.step if self.length else 1)


class Plan(NamedTuple):
    """A selection tied to a shape."""

    axes: Tuple[Axis, ...]

    @property
    def shape(self) -> Tuple[int, ...]:
        """The shape that comes back."""
        return tuple(axis.length for axis in self.axes if not axis.dropped)

    @property
    def full_counts(self) -> Tuple[int, ...]:
        """As :attr:`shape`, with dropped axes as 1."""
        return tuple(axis.length for axis in self.axes)

    @property
    def touched(self) -> int:
        """How many elements lie inside the bounds, selected or stepped over."""
        total = 1
        for axis in self.axes:
            first, end = axis.bounds
            total *= end - first
        return total


def tie(items: List[Any], shape: Tuple[int, ...], data_path: str = "") -> Plan:
    """Tie wire items (integer, ``"..."`` or ``[start, stop, step]``) to a shape.

    Raises:
        WireError: kind ``selection``, naming the valid range.
    """
    named = sum(1 for item in items if item != "...")
    dots = sum(1 for item in items if item == "...")
    if dots > 1:
        raise WireError("selection", "A selection can have only one “...”.", "", "Write “:” for the others.")
    if named > len(shape):
        raise WireError("selection", "The selection names %d axes, but %s has %d (shape %s)."
                        % (named, data_path or "the dataset", len(shape), "×".join(map(str, shape)) or "scalar"),
                        remedy="Leave out axes from the end; those not named are taken whole.")
    filled = []  # type: List[Any]
    for item in items if dots else list(items) + ["..."]:
        if item == "...":
            filled.extend([[None, None, None]] * (len(shape) - named))
        else:
            filled.append(item)
    if 0 in shape and any(isinstance(item, int) and not shape[number] for number, item in enumerate(filled)):
        raise WireError("selection", "%s is empty: its shape is %s."
                        % (data_path or "The dataset", "×".join(map(str, shape))),
                        remedy="If it is still being written, try again later.")
    return Plan(tuple(_axis(item, length, number, data_path)
                      for number, (item, length) in enumerate(zip(filled, shape))))


def _axis(item: Any, length: int, number: int, data_path: str) -> Axis:
    if isinstance(item, bool) or not isinstance(item, (int, list, tuple)):
        raise WireError("selection", "%r is not an index." % (item,),
                        remedy="Write a selection as in numpy, for example 3,:,10:20 or ...,::2.")
    if isinstance(item, int):
        index = item + length if item < 0 else item
        if not 0 <= index < length:
            raise WireError("selection", "Index %d is out of range: axis %d of %s has indices 0 to %d."
                            % (item, number, data_path or "the dataset", length - 1),
                            remedy="Choose an index in that range.")
        return Axis(index, 1, 1, True)
    try:
        window = range(length)[slice(*item)]
    except (TypeError, ValueError) as error:
        raise WireError("selection", "%r is not a slice." % (item,), str(error),
                        "Write start:stop:step with a step that is not 0.") from None
    return Axis(window.start if len(window) else 0, len(window), window.step if len(window) else 1, False)
