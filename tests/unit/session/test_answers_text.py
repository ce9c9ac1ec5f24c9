"""Numbers of regions and lines for a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import PurePosixPath

import numpy as np

from app.model.data import DataReference, LineProfile, Statistics
from app.model.marks import Region
from app.session.answers_text import line_text, regions_text
from app.session.region_statistics import RegionNumbers

REFERENCE = DataReference("far", PurePosixPath("/data/ä\u202eb.h5"), "/entry/data")


def test_that_every_number_of_a_region_is_in_its_line() -> None:
    region = Region(1, "Beam, \"centre\"", "blue", 10, 20, 30, 60)
    statistics = Statistics(count=300, masked=4, valid_total=12345678901234567890, valid_mean=0.1, valid_std=2.5,
                            valid_minimum=0, valid_maximum=99, percentiles=((0.1, 0.0), (1, 0.5), (50, 3.0), (99, 90.0),
                                                                            (99.9, 98.5)))
    numbers = RegionNumbers((3,), region.bounds, statistics, (11, 31), (12, 32))
    unknown = Region(2, "Other", "red", 0, 1, 0, 1)
    text = regions_text(REFERENCE, (3,), [(region, numbers), (unknown, None)], ",")
    lines = text.splitlines()
    assert lines[0] == "# far:/data/ä\\u202eb.h5::/entry/data"
    rows = list(csv.DictReader(lines[1:]))
    assert rows[0]["region"] == "Beam, \"centre\""
    assert rows[0]["sum"] == "12345678901234567890"
    assert (rows[0]["mean"], rows[0]["frame"], rows[0]["y1"]) == ("0.1", "3", "20")
    assert (rows[0]["maximum"], rows[0]["maximum y"], rows[0]["maximum x"]) == ("99", "12", "32")
    assert (rows[0]["1 %"], rows[0]["99.9 %"]) == ("0.5", "98.5")
    assert rows[1]["pixels"] == "not known"
    assert not rows[1]["sum"]


def test_that_a_line_says_where_it_lies() -> None:
    profile = LineProfile(REFERENCE, (10.0, 20.0), (10.0, 22.0), 3, np.arange(3.0), np.array([1 / 3, np.nan, 7.0]))
    lines = line_text(profile, (5,), "\t").splitlines()
    assert lines[1:3] == ["# frame 5", "# from y 10, x 20 to y 10, x 22 (pixel centres), width 3 px"]
    assert lines[3:] == ["distance (px)\tvalue", "0.0\t0.3333333333333333", "1.0\tnan", "2.0\t7.0"]
