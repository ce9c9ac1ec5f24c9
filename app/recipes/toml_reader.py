"""Takes keys out of a TOML table one by one, checks each, and complains about what is left over. Pure.

Every fault is one sentence: where, which key, what is wrong, what is expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from app.errors import RecipeError

LONGEST_TEXT = 4096
LONGEST_ITEM = 500          # of a list
MOST_ITEMS = 500


class TomlReader:
    """One table. ``where`` is what sentences call it."""

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(table)

    def fault(self, key: str, wrong: str, expected: str) -> RecipeError:
        return RecipeError(f"{self.where}: “{key}” {wrong}; expected {expected}.")

    def text(self, key: str, *, default: str | None = None, pattern: re.Pattern[str] | None = None,
             expected: str = "text") -> str:
        value = self._left.pop(key, default)
        if value is None:
            raise self.fault(key, "is missing", expected)
        if not isinstance(value, str):
            raise self.fault(key, f"is {shown(value)}", expected)
        if len(value) > LONGEST_TEXT:
            raise self.fault(key, f"is {len(value)} characters long", f"at most {LONGEST_TEXT}")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.fault(key, f"is “{value[:80]}”", expected)
        return value

    def line(self, key: str, *, default: str | None = None) -> str:
        """A text in one line, as titles are."""
        value = self.text(key, default=default)
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in value) or (default is None and not value.strip()):
            raise self.fault(key, f"is {shown(value)}", "one line of text")
        return value

    def number(self, key: str, *, default: float | None = None, whole: bool = False, minimum: float | None = None,
               maximum: float | None = None) -> Any:
        value: Any = self._left.pop(key, default)
        if value is None:
            return None
        fits = not isinstance(value, bool) and isinstance(value, int if whole else (int, float))
        if not fits or not math.isfinite(value):
            raise self.fault(key, f"is {shown(value)}", "a whole number" if whole else "a number")
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            bounds = f"{minimum:g} or more" if maximum is None else f"{minimum or 0:g} to {maximum:g}"
            raise self.fault(key, f"is {value:g}", f"{'a whole number' if whole else 'a number'} of {bounds}")
        return value

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, f"is {shown(value)}", "true or false")
        return value

    def texts(self, key: str, expected: str = "a list of texts") -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or len(value) > MOST_ITEMS:
            raise self.fault(key, f"is {shown(value)}", expected)
        if any(len(text) > LONGEST_ITEM for text in value):
            raise self.fault(key, f"has a text of {max(map(len, value))} characters", f"at most {LONGEST_ITEM}")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"is {shown(value)}", "a table")
        return value

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fault(key, f"is {shown(value)}", f"tables written as [[{key}]]")
        if len(value) > MOST_ITEMS:
            raise self.fault(key, f"is there {len(value)} times", f"at most {MOST_ITEMS}")
        return list(value)

    def anything(self, key: str) -> Any:
        return self._left.pop(key, None)

    def has(self, key: str) -> bool:
        return key in self._left

    def child(self, key: str, table: Mapping[str, Any]) -> TomlReader:
        name = table.get("name", table.get("title"))
        return TomlReader(f"{self.where}: {key}" + (f" “{name[:60]}”" if isinstance(name, str) else ""), table)

    def close(self, known: Collection[str] = ()) -> None:
        """Complain about the first key that nobody asked for; ``known`` are named as what there could be."""
        for key in self._left:
            raise RecipeError(f"{self.where}: “{key[:80]}” is not a key this version knows.",
                              remedy="Correct the spelling or take the line out"
                                     + (f": there are {', '.join(known)}." if known else "."))


def shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
