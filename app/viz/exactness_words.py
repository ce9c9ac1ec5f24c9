"""How true a picture is, in words: short for the status line, a sentence for its tooltip. Text only."""

from __future__ import annotations

from collections.abc import Sequence

from app.model.data import Block, Exactness, Reduction
from app.model.text import visible

_REDUCED = {Reduction.MAX: "the maximum", Reduction.MEAN: "the mean", Reduction.MIN: "the minimum",
            Reduction.SUM: "the sum", Reduction.NEAREST: "the first"}
_NUMBERS = "Numbers in the inspector and under the cursor are read from the stored values, at full resolution."


def shown_words(block: Block) -> str:
    """``exact``, ``shown 1/4, max``, ``shown 1/8, max, ±0.02``, ``3 of 8 parts``; ``part missing``, ``missing``."""
    words = block.shown if block.exactness in (Exactness.EXACT, Exactness.PARTIAL) else f"shown {block.shown}"
    if block.missing and block.mask is not None and block.mask.all():
        return "missing"
    words = f"{words} · modulus" if block.values.dtype.kind == "c" else words
    return f"{words} · part missing" if block.missing else words


def shown_sentences(block: Block) -> str:
    """What these words mean for the picture."""
    sentences = []
    if block.exactness is Exactness.EXACT:
        sentences.append("Every pixel has the colour of its stored value.")
    if block.values.dtype.kind == "c":
        sentences.append("Complex numbers are drawn as their modulus.")
    if block.exactness is Exactness.PARTIAL and block.parts is not None:
        sentences.append(f"Only {block.parts[0]} of {block.parts[1]} parts of the picture have arrived; the rest is a"
                         " coarser guess. What is missing follows.")
    if block.factor != (1, 1):
        fy, fx = block.factor
        sentences.append(f"Each pixel drawn is {_REDUCED[block.reduction]} of {fy}×{fx} stored ones. Zoom in to see"
                         " every pixel.")
    if block.exactness is Exactness.QUANTISED:
        sentences.append(f"The values drawn are rounded, by at most {block.max_error:.2g}, to be here sooner. The"
                         " unrounded picture follows.")
    sentences += [visible(sentence) for sentence in block.missing]
    return "\n".join([*sentences, _NUMBERS])


def drawn_note(block: Block) -> str:
    """What a number that is only drawn, not read, stands for: ``(max of 4×4, ±0.02)``; nothing for a stored one."""
    words = []
    if block.factor != (1, 1):
        words.append(f"{block.reduction.value} of {block.factor[0]}×{block.factor[1]}")
    if block.exactness is Exactness.QUANTISED:
        words.append(f"±{block.max_error:.2g}")
    if block.exactness is Exactness.PARTIAL:
        words.append("coarse")
    return f"({', '.join(words)})" if words else ""


def missing_words(missing: Sequence[str]) -> str:
    """What a description says is missing, in a few words; empty: nothing is."""
    linked = linked_files(missing)
    if not linked:
        return "not all frames are there" if any(name.endswith(".") for name in missing) else ""
    return "a linked file is missing" if len(linked) == 1 else f"{len(linked)} linked files are missing"


def linked_files(missing: Sequence[str]) -> list[str]:
    """The links that lead nowhere. What else is there: sentences about frames, and how the plot was looked for."""
    return [name for name in missing if (" → " in name or "::/" in name) and not name.endswith(".")]
