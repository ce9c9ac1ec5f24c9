"""What axes and values are called for people: long names with their units once, names of datasets otherwise."""

from __future__ import annotations

import pytest

from app.model.axes import words_for
from app.model.plot import PlotDescription, View


@pytest.mark.parametrize(("long_name", "units", "wanted"), [
    ("", "1/nm", ("q", "1/nm")),
    ("q (1/nm)", "1/nm", ("q", "1/nm")),
    ("q (1/Å)", "1/angstrom", ("q", "1/Å")),
    ("q [Å⁻¹]", "1/angstrom", ("q", "Å⁻¹")),
    ("q / nm^-1", "1/nm", ("q", "nm^-1")),
    ("x (µm)", "um", ("x", "µm")),
    ("Azimuth χ (°)", "degrees", ("Azimuth χ", "°")),
    ("Azimuth (chi) (deg)", "deg", ("Azimuth (chi)", "deg")),
    ("Intensity (background taken off)", "counts", ("Intensity (background taken off)", "counts")),
    ("Intensity (background taken off)", "", ("Intensity (background taken off)", "")),
    ("Sample / reference", "", ("Sample / reference", "")),
    ("Centre of rotation (column)", "pixel", ("Centre of rotation (column)", "pixel")),
    ("  two\nlines ", "", ("two lines", "")),
])
def test_that_a_title_has_the_units_once(long_name: str, units: str, wanted: tuple[str, str]) -> None:
    assert words_for("/entry/data/q", long_name, units) == wanted


def test_that_a_name_that_is_made_to_take_time_is_left_as_it_is() -> None:
    for endless in ("q" * 300 + " (m)", "q" + "/b" * 500_000 + "("):
        assert words_for("/q", endless, "m") == (endless, "m")


def test_that_an_axis_is_called_by_what_the_file_has_of_it() -> None:
    described = PlotDescription(View.STACK, "/a/I", axes=(None, "/a/chi", "FILE::/a/q"), shape=(5, 7, 9),
                                axes_units=("", "deg", "1/nm"), axes_names=("", "", "q (1/nm)"), signal_units="counts")
    assert [described.axis_words(n) for n in (0, 1, 2, -1)] == [("", ""), ("chi", "deg"), ("q", "1/nm"), ("q", "1/nm")]
    assert described.signal_words == ("I", "counts")
    assert PlotDescription(View.CURVE, "/a/I").axis_words(-1) == ("", "")
