"""Where the demo's data lie, as facilities lay them out, and the making of what is missing. Main thread, at start.

``visitor/<proposal>/<beamline>/<date>/{RAW_DATA,PROCESSED_DATA}``. Measured files are copied from the resources,
the others generated: deterministic, each folder complete or not there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.facility.data import rotation, scans, scattering, tomography
from app.resources import resource_path

_VERSION = "1"


@dataclass(frozen=True)
class Folder:
    """A folder below ``visitor``. ``copied``: names in ``resources/demo``; ``made``: writes into the folder."""

    path: str
    what: str
    copied: tuple[str, ...] = ()
    made: Callable[[Path, bool], None] | None = None


FOLDERS = (
    Folder("sc5678/saxs/20261112/RAW_DATA/spheres", "a SAXS series of growing spheres", made=scattering.make),
    Folder("sc5678/saxs/20261112/RAW_DATA/usaxs", "a measured Eiger 9M frame", copied=("S2p5min_00070_00001.h5",)),
    Folder("sc5678/saxs/20261112/RAW_DATA/alignment", "a file with many scans", made=scans.make),
    Folder("mx2345/mx/20261115/RAW_DATA/lysozyme", "an Eiger 4M rotation series", made=rotation.make),
    Folder("mx2345/mx/20261115/RAW_DATA/l-cysteine", "measured Pilatus 2M frames",
           copied=("l-cyst_01_00001.cbf", "l-cyst_01_00002.cbf")),
    Folder("md1001/tomo/20261110/RAW_DATA/phantom", "a tomography scan of a phantom", made=tomography.make),
    Folder("md1001/tomo/20261110/RAW_DATA/tooth", "a measured tomography of a tooth", copied=("tooth.h5",)),
    Folder("hc4321/nano/20261108/RAW_DATA/near-field", "measured near-field ptychography",
           copied=("PETRAIII_P25_Near_Field_Ptycho.cxi",)),
)


def make_data(root: Path, kind: str, say: Callable[[str], None]) -> None:
    """Make every folder that is missing. ``kind``: ``full`` or ``small``; made anew when it changed."""
    mark = root / ".kind"
    wanted = f"{_VERSION} {kind}\n"
    same = mark.exists() and mark.read_text() == wanted
    for number, folder in enumerate(FOLDERS, 1):
        place = root / "visitor" / folder.path
        if place.exists() and not same and folder.made is not None:
            shutil.rmtree(place)
        if not place.exists():
            say(f"Demo data {number}/{len(FOLDERS)}: {folder.what} …")
            _make(folder, place, kind == "small")
        place.parents[0].with_name("PROCESSED_DATA").mkdir(exist_ok=True)
    mark.write_text(wanted)


def _make(folder: Folder, place: Path, small: bool) -> None:
    temporary = place.with_name(f".{place.name}.making")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in folder.copied:
        shutil.copyfile(resource_path("demo", name), temporary / name)
    if folder.copied:
        shutil.copyfile(resource_path("demo", "ATTRIBUTION.md"), temporary / "ATTRIBUTION.md")
    if folder.made is not None:
        folder.made(temporary, small)
    for file in temporary.iterdir():
        file.chmod(0o444)
    os.replace(temporary, place)
