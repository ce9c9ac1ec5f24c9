"""Takes secrets out of text that is made to be copied. Pure functions.

Tokens, codes, passwords, private keys and mail addresses go; names of hosts, users, files and fingerprints stay,
since support needs them.
"""

from __future__ import annotations

import re
from pathlib import Path

LEFT_OUT = "[left out]"
_RULES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), LEFT_OUT),
    (re.compile(r"-----BEGIN ([A-Z ]+)-----.*?(-----END \1-----|$)", re.S), r"[\1]"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*){1,4}"), LEFT_OUT),
    (re.compile(r"\b(bearer|basic|dpop|negotiate)\s+[A-Za-z0-9._~+/-]{6,}=*", re.I), rf"\1 {LEFT_OUT}"),
    (re.compile(r"(?<=://)[^\s/@]*@"), f"{LEFT_OUT}@"),
    (re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.I), rf"\1?{LEFT_OUT}"),
    (re.compile(r"([\"']?\b[\w-]*(?:password|passwd|passphrase|passcode|secret|token|assertion|verifier|otp|"
                r"user_code|device_code|authorization|cookie|api_?key)\b[\"']?\s*[=:]\s*)"
                r"(\"[^\"]*\"|'[^']*'|[^\s,;&]+)", re.I), rf"\1{LEFT_OUT}"),
)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@((?:[\w-]+\.)+[A-Za-z]{2,})\b")
_OPAQUE = re.compile(r"(?<![\w/+.-])(?<!SHA256:)(?!AAAA)[A-Za-z0-9_+/=-]{40,}(?![\w/+.-])")
_LONG_NAME = 24
_HEX = re.compile(r"[0-9a-f]+", re.I)


def redacted(text: str) -> str:
    """``text`` without what must not leave this computer."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    text = _OPAQUE.sub(_opaque, text)
    text = _MAIL.sub(r"…@\1", text)
    return text.replace(f"{Path.home()}/", "~/") if len(str(Path.home())) > 1 else text


def _opaque(match: re.Match[str]) -> str:
    """A long word without meaning may be a token; checksums, paths and words of a name are none."""
    word = match[0]
    path = "/" in word and max(map(len, word.split("/"))) < _LONG_NAME
    mixed = re.search(r"\d", word) and re.search(r"[A-Za-z]", word)
    return word if path or not mixed or _HEX.fullmatch(word) else LEFT_OUT
