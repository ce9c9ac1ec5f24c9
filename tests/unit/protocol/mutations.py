"""Damage for streams of frames and for bytes: what a broken or hostile peer may send. The same for the same seed."""

from __future__ import annotations

import random

from app.protocol.framing import FIXED

_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF)


def frames_of(stream: bytes) -> list[bytes]:
    """A valid stream cut at its frames."""
    frames, at = [], 0
    while at < len(stream):
        end = at + FIXED.size + FIXED.unpack_from(stream, at)[0]
        frames.append(stream[at:end])
        at = end
    return frames


def damaged_stream(stream: bytes, seed: int) -> bytes:
    """Frames lost, doubled, in another order, of another stream, and bytes of them changed; or cut off."""
    chance = random.Random(seed)
    frames = frames_of(stream)
    for _ in range(chance.randint(1, 3)):
        if not frames:
            break
        at = chance.randrange(len(frames))
        what = chance.randrange(6)
        if what == 0:
            del frames[at]
        elif what == 1:
            frames.insert(at, frames[chance.randrange(len(frames))])
        elif what == 2:
            frames.insert(chance.randrange(len(frames)), frames.pop(at))
        elif what == 3:
            frames[at] = frames[at][:chance.randrange(len(frames[at]) + 1)]
        elif what == 4:
            frames[at] = frames[at][:4] + chance.randrange(0, 9).to_bytes(4, "big") + frames[at][8:]
        else:
            frames[at] = damaged_bytes(frames[at], chance.randrange(2**32))
    return b"".join(frames)


def damaged_bytes(data: bytes, seed: int, first: int = 0) -> bytes:
    """Some bytes from ``first`` on changed, lost or put in; mostly near the beginning, where lengths are."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        span = len(changed) - first
        if span <= 0:
            break
        at = first + (chance.randrange(min(span, 64)) if chance.random() < 0.7 else chance.randrange(span))
        what = chance.randrange(5)
        if what == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            changed[at] = chance.choice(_TELLING)
        elif what == 2:
            changed[at:at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
        elif what == 3:
            del changed[at:at + chance.randint(1, 9)]
        else:
            changed[at:at] = chance.randbytes(chance.randint(1, 9))
    return bytes(changed)
