"""Settings, texts, units, snippets: values without Qt."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from app import settings
from app.model.data import Block, DataReference, Selection
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.model.units import bytes_text, clock_text, left_text, number_text, rate_text
from app.session.block_cache import BlockCache
from app.session.memory import KEPT, choices_key, remembered
from app.session.snippet import python_snippet

REFERENCE = DataReference("far", PurePosixPath("/data/a'b\n.h5"), "/entry/it's")


def test_that_hidden_characters_are_made_visible() -> None:
    assert visible("plain é 日本 ½") == "plain é 日本 ½"
    assert visible("a\u202eb\x1b[31m\u200b") == "a\\u202eb\\x1b[31m\\u200b"
    assert visible("caf\udce9") == "caf\\xe9"
    assert visible("a\nb\tc") == "a\\x0ab\\x09c"
    assert visible("a\nb\tc\r", keep_lines=True) == "a\nb\tc\\x0d"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (4_880_000, "4.88 MB"), (999_600, "1.00 MB"),
                                             (4.12e11, "412 GB"), (38_400_000, "38.4 MB"), (2e18, "2000 PB")])
def test_that_sizes_have_three_digits(count: float, text: str) -> None:
    assert bytes_text(count) == text


def test_that_times_and_rates_read_as_people_say_them() -> None:
    assert clock_text(108.9) == "1:48"
    assert clock_text(3723) == "1:02:03"
    assert left_text(7 * 3600 + 12 * 60 + 5) == "7 h 12 min left"
    assert left_text(-1) == "expired"
    assert rate_text(5.75e6) == "46 Mbit/s"
    assert number_text(32371904) == "32\u202f371\u202f904"
    assert number_text(None) == "–"


def test_that_settings_survive_and_a_newer_versions_keys_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"schema": 9, "theme": "light", "recent": ["a", 3], "future": [1], "window_state": 5,
                                "sign_in_way": "telepathy"}))
    stored = settings.load(file)
    assert (stored.theme, stored.recent, stored.window_state) == ("light", ("a",), "")
    assert stored.sign_in_way == "browser"
    settings.save(stored.with_(theme="dark", sign_in_way="code"), file)
    assert settings.load(file).sign_in_way == "code"
    assert json.loads(file.read_text())["future"] == [1]
    assert settings.load(file).theme == "dark"


def test_that_an_unreadable_settings_file_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{not json")
    assert settings.load(file) == settings.Settings()
    assert (tmp_path / "settings.unreadable.json").read_text() == "{not json"
    assert settings.load(tmp_path / "none.json") == settings.Settings()


def test_that_the_snippet_quotes_what_it_is_given() -> None:
    script = python_snippet(REFERENCE, (3,), "login.far.example")
    compile(script, "snippet", "exec")
    assert repr("/data/a'b\n.h5") in script
    assert "node[3, ...]" in script
    assert "login.far.example" in script.splitlines()[0]


def test_that_choices_belong_to_a_series_and_old_ones_are_forgotten() -> None:
    description = PlotDescription(View.STACK, "/1.1/measurement/eiger")
    one = DataReference("esrf", PurePosixPath("/data/visitor/ma1/20261120/s_0001.h5"))
    other = DataReference("esrf", PurePosixPath("/data/visitor/ma1/20261121/s_0044.h5"))
    next_scan = PlotDescription(View.STACK, "/12.1/measurement/eiger")
    assert choices_key(one, description) == choices_key(other, next_scan)
    kept: dict[str, dict[str, int]] = {}
    for number in range(KEPT + 5):
        kept = remembered(kept, str(number), {"n": number})
    assert len(kept) == KEPT
    assert "0" not in kept


def test_that_the_block_cache_is_bounded_by_bytes() -> None:
    cache = BlockCache(limit_bytes=4000)
    for number in range(10):
        cache.put(number, Block(np.zeros(100), REFERENCE, Selection(), (100,)))
    assert cache.held_bytes <= 4000
    assert 9 in cache
    assert 0 not in cache
    cache.put("huge", Block(np.zeros(1000), REFERENCE, Selection(), (1000,)))
    assert "huge" not in cache


def test_that_choices_about_links_are_remembered_and_nonsense_is_not(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    settings.save(settings.Settings(quality="save", prefetch_mb_per_hour=50, cache_mb=0), file)
    stored = settings.load(file)
    assert (stored.quality, stored.prefetch_mb_per_hour, stored.cache_mb) == ("save", 50, 0)
    file.write_text(json.dumps({"quality": "best", "prefetch_mb_per_hour": -1, "cache_mb": True}))
    assert settings.load(file) == settings.Settings()
