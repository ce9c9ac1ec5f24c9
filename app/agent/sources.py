"""Where a dataset's bytes come from besides its own file, and what of that is missing.

Virtual datasets take them from other datasets, external storage from raw files, filters from plugins. HDF5 fills
what is missing with zeros or fails with a riddle; here it is named. Runs in a worker process of the agent, in one
thread; opens nothing but the dataset it is given.
"""

from __future__ import annotations

import os
from typing import Any, List, NamedTuple, Tuple

import h5py
from h5py import h5d, h5z

from app.agent import links
from app.agent.attributes import sentence
from app.agent.decoding import can_decode
from app.agent.opening import shown
from app.protocol.chunk_filters import Step

MAX_SOURCES = 256
MAX_OPENED = 4
MAX_BLOCKS = 1 << 16

FILTER_NAMES = {
    1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
    305: "lzo", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32002: "mafisc", 32003: "snappy", 32004: "lz4",
    32005: "apax", 32006: "cbf", 32007: "jpeg-xr", 32008: "bitshuffle", 32009: "spdp", 32010: "lpc-rice",
    32011: "ccsds-123", 32012: "jpeg-ls", 32013: "zfp", 32014: "fpzip", 32015: "zstd", 32016: "b3d", 32017: "sz",
    32018: "fcidecomp", 32019: "jpeg", 32020: "vbz", 32021: "fapec", 32022: "bitgroom", 32023: "granular-bitround",
    32024: "sz3", 32025: "delta-rice", 32026: "blosc2", 32027: "flac", 32028: "sperr", 32029: "trpx", 32030: "ffmpeg",
}


class Filter(NamedTuple):
    """One step of a dataset's filter pipeline; ``available``: HDF5 has it here, or the agent itself undoes it."""

    id: int
    name: str
    available: bool


def filters_of(dataset: Any) -> List[Filter]:
    """The filter pipeline of a dataset in the order in which it was written."""
    plist = dataset.id.get_create_plist()
    ours = _is_decodable(dataset)
    found = []  # type: List[Filter]
    for index in range(plist.get_nfilters()):
        code, _, _, stored = plist.get_filter(index)
        stored_name = stored.decode("utf-8", "replace") if isinstance(stored, bytes) else str(stored)
        name = FILTER_NAMES.get(code) or stored_name.strip("\x00 ") or "filter %d" % code
        found.append(Filter(int(code), name, ours or bool(h5z.filter_avail(code))))
    return found


def absent_filters(dataset: Any) -> List[str]:
    """The names of the filters of a dataset that HDF5 itself has not here."""
    plist = dataset.id.get_create_plist()
    codes = [int(plist.get_filter(index)[0]) for index in range(plist.get_nfilters())]
    return [step.name for step, code in zip(filters_of(dataset), codes) if not h5z.filter_avail(code)]


def is_virtual(dataset: Any) -> bool:
    """Whether a dataset is put together from others."""
    return bool(dataset.id.get_create_plist().get_layout() == h5d.VIRTUAL)


def virtual_files(dataset: Any, file_path: str) -> List[Tuple[str, str]]:
    """(file, data path) of every distinct source of a virtual dataset; the file is where HDF5 finds or expects it."""
    plist = dataset.id.get_create_plist()
    found = []  # type: List[Tuple[str, str]]
    for index in range(min(plist.get_virtual_count(), MAX_SOURCES)):
        name = _text(plist.get_virtual_filename(index))
        path = "/" + _text(plist.get_virtual_dsetname(index)).lstrip("/")
        source = (file_path if name == "." else located(name, file_path), path)
        if source not in found:
            found.append(source)
    return found


def located(name: str, beside: str) -> str:
    """Where HDF5 looks for a source or linked file: as written, else (absolute ones too) beside the asking file."""
    folder = os.path.dirname(os.path.abspath(beside))
    candidates = [name, os.path.join(folder, os.path.basename(name))] if os.path.isabs(name) else [
        os.path.join(folder, name)]
    for candidate in candidates:
        if os.path.exists(candidate):
            return os.path.normpath(candidate)
    return os.path.normpath(candidates[0])


def missing_sources(dataset: Any, file_path: str) -> List[str]:
    """What a dataset needs and is not there, each as a name (``FILE::/path`` or a file)."""
    missing = []  # type: List[str]
    if is_virtual(dataset):
        for source, path in virtual_files(dataset, file_path):
            if "%b" in source:
                missing.extend("%s::%s" % (shown(name), path) for name in _missing_blocks(source))
            elif not os.path.exists(source):
                missing.append("%s::%s" % (shown(source), path))
            elif source == file_path:
                gone = _gone_inside(dataset, path)
                if gone:
                    missing.append(gone)
    else:
        plist = dataset.id.get_create_plist()
        for index in range(min(plist.get_external_count(), MAX_SOURCES)):
            raw = _text(plist.get_external(index)[0])
            if not os.path.exists(raw if os.path.isabs(raw) else os.path.abspath(raw)):
                missing.append(shown(raw))
    return missing


def absent_source_filters(dataset: Any, file_path: str) -> List[str]:
    """Filters that the sources of a virtual dataset need and nobody at the facility has."""
    absent = []  # type: List[str]
    try:
        sources = virtual_files(dataset, file_path) if is_virtual(dataset) else []
    except Exception:
        return absent
    for source, path in sources[:MAX_OPENED]:
        try:
            with h5py.File(source.replace("%b", "0"), "r", locking=False) as file:
                absent.extend(step.name for step in filters_of(file[path])
                              if not step.available and step.name not in absent)
        except Exception:
            continue  # a source that does not open is reported as missing or damaged elsewhere
    return absent


def trouble_with(dataset: Any, file_path: str) -> str:
    """Why some or all of a dataset's values cannot be had, as one sentence; ``""``: nothing known against it."""
    try:
        absent = [step.name for step in filters_of(dataset) if not step.available]
        if absent:
            return filter_sentence(absent)
        missing = missing_sources(dataset, file_path)
    except Exception as error:
        return "How its values are stored cannot be read: %s." % sentence(error)
    if not missing:
        return ""
    names = ", ".join(missing[:3]) + (" and %d more" % (len(missing) - 3) if len(missing) > 3 else "")
    if is_virtual(dataset):
        return "Source files of this virtual dataset are missing (%s); what they held reads as fill value." % names
    return "The raw data file %s is missing." % names


def _is_decodable(dataset: Any) -> bool:
    """Whether the agent itself undoes all filters of a dataset."""
    plist = dataset.id.get_create_plist()
    steps = [plist.get_filter(number) for number in range(plist.get_nfilters())]
    return can_decode([Step(int(code), tuple(int(n) for n in values)) for code, _, values, _ in steps])


def filter_sentence(names: List[str]) -> str:
    """The sentence for filters that nobody at the facility has."""
    if len(names) == 1:
        return "The compression filter %s is not available at the facility." % names[0]
    return "The compression filters %s are not available at the facility." % ", ".join(names)


def _missing_blocks(pattern: str) -> List[str]:
    """Gaps in a numbered series of source files (``f-%b.h5``), up to the last that exists; the first if none does."""
    folder, name = os.path.split(pattern)
    before, _, after = name.partition("%b")
    numbers = set()
    for found in os.listdir(folder) if os.path.isdir(folder) else []:
        middle = found[len(before):len(found) - len(after)]
        if found.startswith(before) and found.endswith(after) and middle.isdigit():
            numbers.add(int(middle))
    last = min(max(numbers, default=0), MAX_BLOCKS)
    return [pattern.replace("%b", str(number)) for number in range(last + 1) if number not in numbers]


def _gone_inside(dataset: Any, path: str) -> str:
    root = h5py.Group(h5py.h5o.open(dataset.id, b"/"))
    try:
        links.resolve(root, path)
    except links.BrokenLink as broken:
        return broken.target or broken.where
    return ""


def _text(value: Any) -> str:
    return links.decoded(value) if isinstance(value, bytes) else str(value)
