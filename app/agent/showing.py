"""Answers ``read``: a coarse preview first, then the picture, then its statistics, each as soon as it is there.

A preview is pooled from the pooled picture, and rounded where that saves much; of a selection that lies scattered over
many chunks, and of a large frame, it is read by itself, with steps, so that it need not wait for all of it. Runs in a
worker process of the agent, in one thread; looks before each step whether somebody still waits.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent import reduction
from app.agent.forwarding import forwarded, values_of
from app.agent.holding import Holding, Selected, Source
from app.agent.rounding import rounded
from app.agent.sampling import sampled
from app.agent.scattered import coarse_plan, stepped
from app.agent.selection import Plan
from app.agent.stack import Waiting
from app.agent.validity import is_pooled_kind
from app.protocol.errors import WireError
from app.protocol.stored import CODEC

Reply = Tuple[Dict[str, Any], List[Any]]
Factor = Tuple[int, int]

SAMPLE = 1 << 15
QUICK = 1 << 16
LARGE_BYTES = 32 * 2 ** 20  # decoding and pooling a frame takes longer than a coarse picture of it on the wire
NO_PREVIEW_RATE = 60e6  # bytes per second: a stored frame is there as soon as a preview would be


class Asked(NamedTuple):
    """What is to be read, and how.

    Attributes:
        fit: (height, width) to which the last two axes are pooled; ``None``: exact.
        preview: (height, width) of a coarse picture that is wanted first; ``None``: none.
        parts: the asker listens to what comes before the last reply.
        draft: values may be rounded.
    """

    source: Source
    items: List[Any]
    fit: Optional[Any] = None
    method: str = "max"
    statistics: bool = True
    preview: Optional[Any] = None
    parts: bool = False
    draft: bool = False


def asked_of(source: Source, params: Dict[str, Any]) -> Asked:
    """The parameters of a ``read``.

    Raises:
        WireError: there is no such reduction.
    """
    method = str(params.get("reduce") or "max")
    if method not in reduction.METHODS:
        raise WireError("usage", "“%s” is no reduction." % method, remedy="Use max, mean, min, sum or nearest.")
    return Asked(source, list(params.get("selection") or ["..."]), params.get("fit"), method,
                 bool(params.get("statistics", True)), params.get("preview"), bool(params.get("parts", False)),
                 bool(params.get("draft", False)))


def answer(holding: Holding, asked: Asked, waiting: Waiting) -> Tuple[Dict[str, Any], List[Any], Selected]:
    """The last reply of a ``read``, and the selection it is about; what comes before it is told to ``waiting``.

    Raises:
        WireError: it cannot be read, does not fit, or is not wanted any more.
    """
    waiting.check()
    selected = _told_as_stored(holding, asked, waiting)
    if selected is not None:
        waiting.check()
        facts = dict(_facts(asked, selected, (1, 1)), part="statistics", mask=False)
        return dict(facts, statistics=selected.counted()), [], selected
    early = asked.parts and asked.preview and _tell_early_preview(holding, asked, waiting)
    selected = holding.select(asked.source, asked.items, waiting.check)
    waiting.check()
    factor = _factor(selected.values.shape, asked.source, asked.fit)
    pooled = _pooled(selected, factor, asked.method)
    if asked.parts and asked.preview and not early:
        _tell_preview(asked, selected, pooled, factor, waiting)
    waiting.check()
    facts, rate = _facts(asked, selected, factor), waiting.rate if asked.draft else None
    if not asked.statistics:
        return _replied(dict(facts, part="whole", statistics={}), pooled, rate) + (selected,)
    if not asked.parts or selected.is_counted or selected.values.size < QUICK:
        return _replied(dict(facts, part="whole", statistics=selected.counted()), pooled, rate) + (selected,)
    waiting.tell(*_part(facts, "picture", pooled, rate))
    del pooled
    waiting.check()
    return dict(facts, part="statistics", mask=False, statistics=selected.counted()), [], selected


def estimated_limits(values: Any, gone: Optional[Any]) -> Optional[List[float]]:
    """The 1st and 99th percentile of a sample of what is valid (moduli of complex numbers); ``None``: nothing is."""
    if not _is_shown(values.dtype) or values.size == 0:
        return None
    every = slice(None, None, math.ceil(values.size / SAMPLE))
    taken = (every,)  # type: Tuple[Any, ...]
    if values.ndim >= 2:
        every = slice(None, None, math.ceil(math.sqrt(values.size / SAMPLE)))
        taken = (Ellipsis, every, every)
    sample = values[taken].reshape(-1)
    if gone is not None:
        sample = sample[~gone[taken].reshape(-1)]
    sample = np.abs(sample) if sample.dtype.kind == "c" else sample
    sample = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    if not sample.size:
        return None
    sample = np.sort(sample)        # of integers several times faster than numpy's percentile
    return [_percentile_of(sample, 0.01), _percentile_of(sample, 0.99)]


def _percentile_of(ascending: Any, share: float) -> float:
    """Numpy's linear percentile of ascending numbers."""
    place = share * (ascending.size - 1)
    low, high, part = float(ascending[int(place)]), float(ascending[math.ceil(place)]), place - int(place)
    return low if low == high else low * (1 - part) + high * part


def _told_as_stored(holding: Holding, asked: Asked, waiting: Waiting) -> Optional[Selected]:
    """Tell a frame as the chunk it is stored as, where that is soonest, and decode it; ``None``: it is not."""
    source = asked.source
    if not (asked.parts and asked.statistics and CODEC in waiting.codecs):
        return None
    if asked.preview and waiting.rate < NO_PREVIEW_RATE:
        return None
    plan = holding.plan(source, asked.items)
    if len(plan.shape) != 2 or _factor(plan.shape, source, asked.fit) != (1, 1):
        return None
    found = holding.stored_chunk(source, asked.items, plan)
    array = None if found is None else forwarded(found, waiting.rate, waiting.codecs)
    if array is None:
        return None
    mask = holding.mask_of(source, plan)
    bits = [] if mask is None or not mask.any() else [np.packbits(mask)]  # type: List[Any]
    facts = {"signal": source.signal, "full_shape": list(array.shape), "exactness": "exact", "factor": [1, 1],
             "reduce": asked.method, "generation": list(source.generation), "max_error": 0.0, "missing": [],
             "self_contained": holding.is_self_contained(source, asked.items), "part": "picture", "statistics": {},
             "sentinels": True, "mask": bool(bits)}
    waiting.tell(facts, [array] + bits)
    waiting.check()
    values = values_of(array)
    return None if values is None else holding.keep_decoded(source, asked.items, values)


def _tell_preview(asked: Asked, selected: Selected, pooled: reduction.Pooled, factor: Factor,
                  waiting: Waiting) -> None:
    """Tell a preview that is coarser than the picture."""
    wanted = _factor(selected.values.shape, asked.source, asked.preview)
    coarse = (max(wanted[0], factor[0]), max(wanted[1], factor[1]))
    if coarse == factor:
        return
    more = (coarse[0] // factor[0], coarse[1] // factor[1])
    preview = _pooled(selected, more, asked.method) if factor == (1, 1) else pooled.coarser(more)
    waiting.tell(*_part(_facts(asked, selected, coarse), "preview", preview, waiting.rate), urgent=True)


def _tell_early_preview(holding: Holding, asked: Asked, waiting: Waiting) -> bool:
    """Tell a preview of a selection that takes long to read; False: it does not, or it is in memory."""
    source = asked.source
    if not source.is_plain or not _is_shown(source.dtype) or holding.held(source, asked.items) is not None:
        return False
    plan = holding.plan(source, asked.items)
    factor = _factor(plan.shape, source, asked.preview)
    alone = holding.is_self_contained(source, asked.items)
    coarse = coarse_plan(source, plan, factor)
    if coarse is not None:
        found = holding.read_past_hdf5(source, coarse, alone, waiting.check)
    else:
        found = _sampled(holding, asked, plan, factor, alone)
    if found is None:
        return False
    facts = dict(_facts(asked, found, factor), reduce="nearest", full_shape=list(plan.shape))
    picked = reduction.Pooled(found.values, found.invalid, "nearest")
    waiting.tell(*_part(facts, "preview", picked, waiting.rate), urgent=True)
    return True


def _sampled(holding: Holding, asked: Asked, plan: Plan, factor: Factor, alone: bool) -> Optional[Selected]:
    """Every nth row and column of a large frame that is one stored chunk; ``None``: it is not."""
    source = asked.source
    if len(plan.shape) != 2 or plan.shape[0] * plan.shape[1] * source.dtype.itemsize < LARGE_BYTES:
        return None
    if factor == _factor(plan.shape, source, asked.fit):
        return None
    stored = holding.stored_chunk(source, asked.items, plan)
    values = None if stored is None else sampled(stored, factor)
    return None if values is None else holding.judged(source, stepped(plan, factor), values, alone)


def _factor(shape: Tuple[int, ...], source: Source, fit: Optional[Any]) -> Factor:
    """By how much the last two axes are pooled to fit."""
    if not fit or len(shape) < 2 or 0 in shape or not _is_shown(source.dtype) or not source.is_plain:
        return 1, 1
    return reduction.factor_for(shape[-2], int(fit[0])), reduction.factor_for(shape[-1], int(fit[1]))


def _is_shown(dtype: Any) -> bool:
    """Whether values of a type make pictures."""
    return is_pooled_kind(dtype) or np.dtype(dtype).kind == "c"


def _pooled(selected: Selected, factor: Factor, method: str) -> reduction.Pooled:
    if factor == (1, 1):
        return reduction.Pooled(selected.values, selected.invalid, method)
    by_value = selected.by_value and reduction.finds_invalid(selected.values.dtype, method)
    invalid = None if by_value else selected.invalid
    return reduction.pool(selected.values, factor, method, invalid, by_value)


def _facts(asked: Asked, selected: Selected, factor: Factor) -> Dict[str, Any]:
    return {"signal": asked.source.signal, "full_shape": [int(n) for n in selected.values.shape],
            "exactness": "exact" if factor == (1, 1) else "pooled", "factor": list(factor), "reduce": asked.method,
            "generation": list(asked.source.generation), "max_error": 0.0, "missing": list(selected.missing),
            "self_contained": selected.self_contained}


def _part(facts: Dict[str, Any], part: str, pooled: reduction.Pooled, rate: Optional[float]) -> Reply:
    limits = estimated_limits(pooled.values, pooled.gone)
    return _replied(dict(facts, part=part, statistics={} if limits is None else {"limits": limits}), pooled, rate)


def _replied(facts: Dict[str, Any], pooled: reduction.Pooled, rate: Optional[float]) -> Reply:
    """A picture with its mask; rounded if a ``rate`` is given (0: unknown) and it is worth it."""
    values = pooled.values  # type: Any
    levels = None if rate is None else rounded(values, pooled.gone, rate)
    if levels is not None:
        values = levels
        facts = dict(facts, exactness="quantised", max_error=levels.max_error)
    if pooled.gone is None or pooled.values.ndim != 2 or not pooled.gone.any():
        return dict(facts, mask=False), [values]
    return dict(facts, mask=True), [values, np.packbits(pooled.gone)]
