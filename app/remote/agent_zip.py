"""The agent as one small zip, made from the installed sources; and the libraries that may go with it.

Deterministic: the same sources give the same bytes, so the SHA-256 names it. Any thread; reads only our own package.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from app.protocol.libraries import BITSHUFFLE, BLOSC2, library_paths

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAIN = "import sys\nfrom app.agent.__main__ import main\nsys.exit(main())\n"
_ROOT = '"""Beamside, the part that runs beside the data."""\n'
_ELF = b"\x7fELF\x02\x01"
_X86_64 = 62


@dataclass(frozen=True)
class Upload:
    """A file to be placed below the site's cache folder; ``name`` contains its SHA-256, or that of its folder.

    ``library``: the file name of a library that need not be sent where the site's hdf5plugin has it.
    """

    name: str
    data: bytes
    digest: str
    library: str = ""

    @classmethod
    def of(cls, before: str, after: str, data: bytes) -> Upload:
        digest = hashlib.sha256(data).hexdigest()
        return cls(before + digest[:16] + after, data, digest)

    @cached_property
    def sent(self) -> bytes:
        """Its bytes as they travel, packed with zlib."""
        return zlib.compress(self.data, 6)


@cache
def agent_zip() -> Upload:
    """The agent made from the sources of this program."""
    return build_agent_zip({})


def build_agent_zip(replaced: Mapping[str, str]) -> Upload:
    """The agent, with some sources replaced (tests put failing services there)."""
    sources = {"__main__.py": _MAIN, "app/__init__.py": _ROOT}
    for package in ("agent", "protocol"):
        for item in _modules(files("app") / package):
            sources[f"app/{package}/{item.name}"] = item.read_text("utf-8")
    sources.update(replaced)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, sources[name].encode("utf-8"))
    return Upload.of("agent-", ".zip", buffer.getvalue())


@cache
def libraries() -> tuple[Upload, ...]:
    """hdf5plugin's bitshuffle and blosc2 filters for Linux on x86-64, without what only a debugger needs.

    They lie in one folder, whose name depends on both. Empty where this program has none of them.
    """
    found = {}
    for name in (BITSHUFFLE, BLOSC2):
        for path in library_paths(name):
            data = Path(path).read_bytes() if path.endswith(".so") else b""
            if _is_linux_x86_64(data):
                found[name + ".so"] = strip_elf(data)
                break
    folder = "plugins-" + hashlib.sha256(b"".join(found.values())).hexdigest()[:16]
    return tuple(Upload(f"{folder}/{name}", data, hashlib.sha256(data).hexdigest(), name)
                 for name, data in found.items())


def strip_elf(data: bytes) -> bytes:
    """A 64-bit ELF library cut after its last loaded segment: debug information and section names are not loaded."""
    table, = struct.unpack_from("<Q", data, 32)
    entry_size, entries = struct.unpack_from("<HH", data, 54)
    end = table + entry_size * entries
    for index in range(entries):
        at = table + entry_size * index
        offset, = struct.unpack_from("<Q", data, at + 8)
        size, = struct.unpack_from("<Q", data, at + 32)
        end = max(end, offset + size)
    stripped = bytearray(data[:end])
    struct.pack_into("<Q", stripped, 40, 0)
    struct.pack_into("<HH", stripped, 60, 0, 0)
    return bytes(stripped)


def _is_linux_x86_64(data: bytes) -> bool:
    return len(data) > 64 and data[:6] == _ELF and struct.unpack_from("<H", data, 18)[0] == _X86_64


def _modules(package: Traversable) -> list[Traversable]:
    return [item for item in package.iterdir() if item.name.endswith(".py")]
