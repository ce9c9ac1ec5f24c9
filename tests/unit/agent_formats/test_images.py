"""Images that are not HDF5: every pixel as fabio reads it, several pictures as a stack, damage as one sentence."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import sys
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from fabio.fabioutils import ENDIANNESS
from fabio.mar345image import Mar345Image
from fabio.marccdimage import MarccdImage
from fabio.TiffIO import TiffIO

from app.agent import pictures
from app.agent.service import Service
from app.protocol.errors import WireError

KINDS = ["cbf", "edf", "tif", "mccd", "mar345"]
COUNTS = np.random.default_rng(1).poisson(30, (60, 50)).astype(np.int32)


def asked(method: str, path: Path, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return Service().handle(method, {"file": str(path), "data_path": None, **params})


def values_of(path: Path, *items: Any) -> Any:
    return asked("read", path, selection=list(items) or ["..."], statistics=False)[1][0]


def edf_of(path: Path, count: int) -> Path:
    image = fabio.edfimage.EdfImage(data=COUNTS, header={"motor": "th"})
    for number in range(1, count):
        image.append_frame(data=COUNTS + number)
    image.write(str(path))
    return path


def written(folder: Path, kind: str) -> Path:
    path = folder / f"a.{kind}"
    if kind == "cbf":
        fabio.cbfimage.CbfImage(data=COUNTS).write(str(path))
    elif kind == "edf":
        edf_of(path, 1)
    elif kind == "tif":
        fabio.tifimage.TifImage(data=COUNTS.astype(np.uint16)).write(str(path))
    elif kind == "mccd":
        MarccdImage(data=COUNTS.astype(np.uint16)).write(str(path))
    elif kind == "mar345":
        _write_mar345(path)
    return path


def _write_mar345(path: Path) -> None:
    image = Mar345Image(data=np.random.default_rng(1).poisson(30, (300, 300)).astype(np.uint32))
    image.byteorder = ENDIANNESS.LITTLE     # fabio's own guess is none
    image.write(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_that_every_pixel_is_fabios(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    with fabio.open(str(path)) as image:
        expected = image.data
    found = values_of(path)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert np.array_equal(values_of(path, [3, 40, 4], [None, None, -1]), expected[3:40:4, ::-1])
    assert asked("plot", path)[0]["view"] == "image"


@pytest.mark.parametrize(("packer", "suffix"), [(gzip, "gz"), (bz2, "bz2")])
@pytest.mark.parametrize("kind", ["cbf", "edf", "tif"])
def test_that_packed_images_are_read_as_they_are(tmp_path: Path, packer: Any, suffix: str, kind: str) -> None:
    plain = written(tmp_path, kind)
    packed = tmp_path / f"b.{kind}.{suffix}"
    packed.write_bytes(packer.compress(plain.read_bytes()))
    assert np.array_equal(values_of(packed), values_of(plain))


def test_that_several_frames_are_a_stack_of_which_one_at_a_time_is_read(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = edf_of(tmp_path / "m.edf", 7)
    plot = asked("plot", path)[0]
    assert (plot["view"], plot["shape"]) == ("stack", [7, 60, 50])
    for number in range(7):
        assert np.array_equal(values_of(path, number, "..."), COUNTS + number)
    assert np.array_equal(values_of(path, [6, None, -2], 5, "..."), np.stack([COUNTS[5] + n for n in (6, 4, 2, 0)]))
    taken: list[int] = []
    real = pictures.FramesOfFile.frame
    monkeypatch.setattr(pictures.FramesOfFile, "frame", lambda self, n: taken.append(n) or real(self, n))
    service = Service()
    service.handle("read", {"file": str(path), "data_path": "/image", "selection": [4, "..."]})
    assert taken == [4]
    total = service.handle("project", {"file": str(path), "data_path": None, "op": "sum"})[1][0]
    assert np.array_equal(total, 7 * COUNTS.astype(np.int64) + 21)
    profile = service.handle("profile", {"file": str(path), "data_path": None, "point": [3, 4]})[1][0]
    assert np.array_equal(profile, COUNTS[3, 4] + np.arange(7))


def test_that_pages_of_a_tiff_are_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    for number in range(4):
        with TiffIO(str(path), mode="rb+" if number else "wb+") as pages:
            pages.writeImage((COUNTS + number).astype(np.uint16))
    with fabio.open(str(path)) as image:
        assert image.nframes == 4
    assert asked("plot", path)[0]["shape"] == [4, 60, 50]
    assert np.array_equal(values_of(path), np.stack([COUNTS + number for number in range(4)]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.98, 0.6, 0.3])
def test_that_an_image_that_ends_too_early_is_never_shown(tmp_path: Path, kind: str, share: float) -> None:
    path = written(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])
    for method in ("plot", "read", "nodes"):
        with pytest.raises(WireError) as caught:
            asked(method, path)
        assert caught.value.kind == "damaged"
        assert caught.value.summary.endswith(".")
        assert caught.value.remedy


def test_that_a_packed_image_that_ends_too_early_is_never_shown(tmp_path: Path) -> None:
    for kind in ("cbf", "edf"):
        path = tmp_path / f"b.{kind}.gz"
        packed = gzip.compress(written(tmp_path, kind).read_bytes())
        path.write_bytes(packed[:len(packed) * 2 // 3])
        with pytest.raises(WireError) as caught:
            asked("read", path)
        assert caught.value.kind == "damaged"


def test_that_a_frame_that_ends_too_early_is_invalid_and_told(tmp_path: Path) -> None:
    path = edf_of(tmp_path / "m.edf", 3)
    path.write_bytes(path.read_bytes()[:-100])
    facts, arrays = asked("read", path, selection=[2, "..."])
    assert facts["mask"]
    assert facts["missing"][0].startswith("Frame 2 is damaged or incomplete")
    assert facts["statistics"]["masked"] == 3000
    assert (arrays[0] == -1).all()
    assert np.array_equal(values_of(path, 1, "..."), COUNTS + 1)


def test_that_frames_of_another_shape_are_told(tmp_path: Path) -> None:
    image = fabio.edfimage.EdfImage(data=COUNTS)
    image.append_frame(data=COUNTS[:20])
    image.append_frame(data=COUNTS.astype(np.float64))
    image.append_frame(data=(COUNTS + 1).astype(np.uint16))
    image.write(str(tmp_path / "m.edf"))
    facts, arrays = asked("read", tmp_path / "m.edf")
    assert facts["missing"] == ["Frame 1 has another shape: 20×50 instead of 60×50.",
                                "Frame 2 has another type: float64 instead of int32."]
    assert np.array_equal(arrays[0][0], COUNTS)
    assert (arrays[0][1:3] == -1).all()
    assert np.array_equal(arrays[0][3], COUNTS + 1)


def test_that_the_header_is_told(tmp_path: Path) -> None:
    nodes = asked("nodes", edf_of(tmp_path / "a.edf", 1), data_path="/", depth=None)[0]["nodes"]
    assert [node["path"] for node in nodes] == ["/", "/image"]
    assert nodes[1]["attributes"]["motor"] == "th"
    assert nodes[0]["attributes"] == {"format": "EDF image"}


def test_that_images_without_fabio_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "cbf")
    packed = tmp_path / "a.cbf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setitem(sys.modules, "fabio", None)
    for one in (path, packed):
        with pytest.raises(WireError, match="is a CBF image, and the facility's Python has no fabio") as no:
            asked("plot", one)
        assert "fabio" in no.value.remedy


def test_that_the_packed_pixels_of_a_mar345_image_must_fill_it(tmp_path: Path) -> None:
    whole = written(tmp_path, "mar345").read_bytes()
    start = whole.index(b"CCP4 packed image")
    rng = np.random.default_rng(3)
    for _ in range(30):
        torn = bytearray(whole)
        for place in rng.integers(start, len(whole), 5):
            torn[place] = int(rng.integers(256))
        (tmp_path / "torn.mar345").write_bytes(bytes(torn))
        with contextlib.suppress(WireError):
            assert values_of(tmp_path / "torn.mar345").shape == (300, 300)


def test_that_the_colours_of_a_photograph_are_a_stack(tmp_path: Path) -> None:
    colours = np.random.default_rng(4).integers(0, 200, (40, 50, 3)).astype(np.uint8)
    with TiffIO(str(tmp_path / "a.tif"), mode="wb+") as file:
        file.writeImage(colours)
    assert asked("plot", tmp_path / "a.tif")[0]["view"] == "stack"
    assert np.array_equal(values_of(tmp_path / "a.tif"), colours.transpose(2, 0, 1))


def test_that_a_cbf_image_cut_in_its_header_is_damaged_at_once(tmp_path: Path) -> None:
    whole = written(tmp_path, "cbf").read_bytes()
    for end in (20, 200, whole.index(b"\x0c\x1a\x04\xd5")):
        (tmp_path / "a.cbf").write_bytes(whole[:end])
        (tmp_path / "a.cbf.gz").write_bytes(gzip.compress(whole[:end]))
        for name in ("a.cbf", "a.cbf.gz"):
            with pytest.raises(WireError) as caught:
                asked("plot", tmp_path / name)
            assert caught.value.kind == "damaged"
