"""Which codec an array is sent in: the one with which it is at the receiver soonest, by what was measured.

For every codec and kind of numbers a running mean of how fast it packs and how far is kept, begun with measured
values (docs/performance.md). Now and then, but not with the first pictures, for which somebody waits, a sample of the
array at hand is packed in every codec that may win, so that one that was not chosen is not forgotten when the data
change. How far the codecs pack is only compared on the same bytes: an array that shrinks less than the sample did says
so of all codecs, not only of the one it was packed in. One :class:`Measured` per process; any thread.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

from app.protocol import codecs

SMALL_BYTES = 2048
SAMPLE_BYTES = 256 * 1024
LOOK_EVERY = 24
UNKNOWN_RATE = 5e6
_LOOKS_APART = 6
_BY_WHAT_IS_KNOWN = 3       # the first arrays of a kind, packed before anything is looked at
_WEIGHT = 0.25
_SURPRISE = 1.5

Kind = Tuple[str, int, int]
Pack = Callable[[memoryview, int, str], memoryview]


class Speed(NamedTuple):
    """Of a codec: bytes of input it packs and unpacks per second, and how many of them become one."""

    pack: float
    unpack: float
    ratio: float


_COUNTS = {codecs.BLOSC2_BITSHUFFLE: Speed(1360e6, 1940e6, 7.7), codecs.BLOSC2_SHUFFLE: Speed(620e6, 1710e6, 7.3),
           codecs.BITSHUFFLE_LZ4: Speed(1800e6, 3300e6, 6.4), codecs.BITSHUFFLE_ZSTD: Speed(380e6, 530e6, 7.3),
           codecs.SHUFFLE_ZLIB: Speed(186e6, 340e6, 6.4), codecs.RAW: Speed(20e9, 20e9, 1.0)}
_NOISE = {codecs.BLOSC2_BITSHUFFLE: Speed(900e6, 3900e6, 1.24), codecs.BLOSC2_SHUFFLE: Speed(1080e6, 2500e6, 1.28),
          codecs.BITSHUFFLE_LZ4: Speed(1680e6, 4300e6, 1.23), codecs.BITSHUFFLE_ZSTD: Speed(330e6, 640e6, 1.24),
          codecs.SHUFFLE_ZLIB: Speed(64e6, 420e6, 1.26), codecs.RAW: Speed(20e9, 20e9, 1.0)}
_COARSE_COUNTS = dict(_COUNTS, **{codecs.BLOSC2_BITSHUFFLE: Speed(1000e6, 1940e6, 5.0),
                                  codecs.BLOSC2_SHUFFLE: Speed(500e6, 1710e6, 5.8),
                                  codecs.BITSHUFFLE_LZ4: Speed(1500e6, 3300e6, 4.4)})
_COARSE_KIND = 9            # up to half a megabyte: what is pooled that far has larger values


class Measured:
    """What packing has cost and brought so far."""

    def __init__(self, pack: Pack = codecs.pack, clock: Callable[[], float] = time.perf_counter) -> None:
        self._pack = pack
        self._clock = clock
        self._lock = threading.Lock()
        self._speeds: Dict[Tuple[str, Kind], Speed] = {}
        self._since_look: Dict[Kind, int] = {}

    def packed(self, data: memoryview, letter: str, item_size: int, allowed: Sequence[str],
               rate: float) -> Tuple[str, memoryview]:
        """Pack contiguous bytes: the codec, and the bytes in it.

        Args:
            data: items of ``item_size`` bytes.
            letter: numpy's kind of them.
            allowed: codecs the receiver takes.
            rate: bytes per second of the link, 0 when unknown.
        """
        kind = (letter, item_size, data.nbytes.bit_length() // 2)
        usable = [codec for codec in codecs.available_codecs() if codec in allowed]
        if data.nbytes < SMALL_BYTES or not usable or usable == [codecs.RAW]:
            return codecs.RAW, data
        if self._is_time_to_look(kind):
            self._look(data, kind, usable, rate)
        codec = self.best(kind, data.nbytes, usable, rate)
        if codec == codecs.RAW:
            return codec, data
        packed = self._measure(data, kind, codec)
        return (codecs.RAW, data) if packed.nbytes * 20 > data.nbytes * 19 else (codec, packed)

    def best(self, kind: Kind, size: int, usable: Sequence[str], rate: float) -> str:
        """The codec with which ``size`` bytes are soonest at the other end."""
        return min(usable, key=lambda codec: self.seconds(kind, size, codec, rate))

    def seconds(self, kind: Kind, size: int, codec: str, rate: float) -> float:
        """How long it probably takes to pack, send and unpack ``size`` bytes."""
        speed = self.speed(kind, codec)
        return size / speed.pack + size / speed.ratio / (rate or UNKNOWN_RATE) + size / speed.unpack

    def speed(self, kind: Kind, codec: str) -> Speed:
        with self._lock:
            known = self._speeds.get((codec, kind))
        return known or _known(kind)[codec]

    def _is_time_to_look(self, kind: Kind) -> bool:
        with self._lock:
            since = self._since_look.get(kind, LOOK_EVERY - _BY_WHAT_IS_KNOWN)
            self._since_look[kind] = 0 if since >= LOOK_EVERY else since + 1
            return since >= LOOK_EVERY

    def _look(self, data: memoryview, kind: Kind, usable: List[str], rate: float) -> None:
        """Pack a sample in every codec that may win: data of one type may be counts or noise."""
        sample, size = _sample(data, kind[1]), data.nbytes
        bound = min(self.seconds(kind, size, codec, rate) for codec in usable)
        for codec in usable:
            if codec != codecs.RAW and size / self.speed(kind, codec).pack < bound and not _is_beaten(codec, usable):
                self._measure(sample, kind, codec, is_sample=True)

    def _measure(self, data: memoryview, kind: Kind, codec: str, is_sample: bool = False) -> memoryview:
        begun = self._clock()
        packed = self._pack(data, kind[1], codec)
        seconds = max(self._clock() - begun, 1e-7)
        before = self.speed(kind, codec)
        now = Speed(data.nbytes / seconds, before.unpack, data.nbytes / max(packed.nbytes, 1))
        share = 1.0 if is_sample else _WEIGHT
        ratio = before.ratio + share * (now.ratio - before.ratio)
        with self._lock:
            if not is_sample:        # the data differ, not the codec: the others would find the same
                for other, known in _known(kind).items():
                    if other != codecs.RAW:
                        speed = self._speeds.get((other, kind), known)
                        self._speeds[other, kind] = speed._replace(ratio=speed.ratio * ratio / before.ratio)
            self._speeds[codec, kind] = Speed(before.pack + _WEIGHT * (now.pack - before.pack), before.unpack, ratio)
            if not is_sample and not 1 / _SURPRISE < now.ratio / before.ratio < _SURPRISE:
                self._since_look[kind] = max(self._since_look[kind], LOOK_EVERY - _LOOKS_APART)
        return packed


def _known(kind: Kind) -> Dict[str, Speed]:
    """What was measured before this process began."""
    if kind[0] in "fc":
        return _NOISE
    return _COARSE_COUNTS if kind[2] <= _COARSE_KIND else _COUNTS


def _is_beaten(codec: str, usable: Sequence[str]) -> bool:
    """Whether another one packs farther, faster and is unpacked faster, counts and noise alike."""
    return any(all(known[other].pack > known[codec].pack and known[other].ratio >= known[codec].ratio
                   and known[other].unpack > known[codec].unpack for known in (_COUNTS, _NOISE))
               for other in usable if other != codecs.RAW)


def _sample(data: memoryview, item_size: int) -> memoryview:
    """Four pieces, spread over the array, of whole items."""
    piece = max(SAMPLE_BYTES // 4 // item_size * item_size, item_size)
    if data.nbytes <= 4 * piece:
        return data
    step = data.nbytes // 4 // item_size * item_size
    return memoryview(b"".join(data[start:start + piece] for start in range(0, 4 * step, step)))


measured = Measured()
