"""How coarse, how many at once, how far ahead: decided from what was measured."""

from __future__ import annotations

import time
from pathlib import PurePosixPath

import numpy as np
import pytest

from app.model.data import Block, DataReference, Exactness, Selection
from app.model.plot import PlotDescription, View
from app.session.fetch_ahead import FetchAhead
from app.session.link_pace import LinkPace, Quality, first_picture
from app.session.motion import Motion, outward
from app.session.picture_keys import FrameGeometry, Key
from app.session.prefetch_budget import PrefetchBudget
from app.session.tile_board import compose

REFERENCE = DataReference("far", PurePosixPath("/data/a.h5"), "/entry/data")
EIGER = FrameGeometry(PlotDescription(View.STACK, "/entry/data", shape=(1000, 2162, 2068), dtype="uint16"))
HOME, THIN, LAN = (0.030, 6.25e6), (0.080, 1.25e6), (0.001, 125e6)


def pace(link: tuple[float, float], **bytes_of: int) -> LinkPace:
    """A link, and what the pictures of each factor were found to take (``f2=289_000``)."""
    made = LinkPace(EIGER)
    made.measure(*link)
    for name, size in bytes_of.items():
        made.learn(Key((0,), None, int(name[1:]), name[0] == "d"), block(size))
    return made


def block(size: int) -> Block:
    return Block(np.zeros((2, 2)), REFERENCE, Selection(), (2, 2), bytes_received=size)


def test_that_a_fast_enough_link_scrubs_in_full_pictures() -> None:
    assert pace(HOME, f2=289_000).moving_picture(2) == (2, False)
    assert pace(LAN, f2=289_000).moving_picture(2) == (2, False)


def test_that_a_slow_link_scrubs_in_pictures_so_coarse_that_15_come_a_second() -> None:
    slow = pace(THIN, f2=289_000, d4=85_000, d8=27_000)
    factor, draft = slow.moving_picture(2)
    assert draft
    assert slow.bytes_of(factor, draft) <= 1.25e6 / 15


def test_that_the_coarseness_does_not_flicker_with_the_rate() -> None:
    slow = pace(THIN, f2=289_000, d2=289_000, d4=66_000, d8=27_000)
    first = slow.moving_picture(2)
    for rate in (1.2e6, 1.3e6, 1.15e6, 1.35e6):
        slow.measure(0.08, rate)
        assert slow.moving_picture(2) == first


def test_that_full_quality_means_no_coarse_picture() -> None:
    slow = pace(THIN, f2=289_000)
    slow.quality = Quality.FULL
    assert slow.moving_picture(2) == (2, False)
    assert slow.preview_factor(2) is None


def test_that_a_coarse_picture_comes_first_where_it_helps() -> None:
    assert pace(HOME, f2=289_000).preview_factor(2) == 8
    assert pace(THIN, f2=289_000).preview_factor(2) == 8
    assert pace(LAN, f2=289_000).preview_factor(2) is None
    assert pace((0.03, 125e6), f2=289_000).preview_factor(2) is None
    assert first_picture(False, Quality.AUTOMATIC, 0.03, 6.25e6, (900, 900))[1] is not None
    assert first_picture(False, Quality.AUTOMATIC, None, None, (900, 900))[1] is not None
    assert first_picture(True, Quality.AUTOMATIC, None, None, (900, 900))[1] is None
    assert first_picture(False, Quality.AUTOMATIC, 0.0004, 1e5, (900, 900))[1] is None


def test_that_requests_under_way_fill_the_link_and_no_more() -> None:
    assert 2 <= pace(HOME, f2=289_000).under_way(2) <= 4
    long_and_fat = pace((0.1, 40e6), f2=289_000).under_way(2)
    assert long_and_fat * 289_000 >= 0.1 * 40e6
    assert pace(THIN, f2=289_000, d8=27_000).under_way(8, True) * 27_000 >= 0.08 * 1.25e6


def test_that_saving_fetches_smaller_pictures_and_nothing_ahead() -> None:
    saving = pace(HOME, f2=289_000)
    saving.quality = Quality.SAVE
    assert saving.whole_factor((900, 900)) > pace(HOME).whole_factor((900, 900))
    assert saving.ahead(20, 2) == 0
    assert pace((0.3, 100_000.0), f2=289_000).saving, "a very slow link saves by itself"
    assert not pace((0.0004, 20_000.0), f2=289_000).saving, "a quiet one beside us does not"


def test_that_as_many_frames_are_fetched_ahead_as_a_round_trip_is_long() -> None:
    assert pace(HOME, f2=289_000).ahead(20, 2) == 2
    assert pace((0.2, 50e6), f2=289_000).ahead(30, 2) == 7
    assert pace(HOME, f2=289_000).ahead(30, 2) == 0, "not every frame can come"


def test_that_a_jump_is_told_from_moving_on() -> None:
    motion = Motion()
    assert not motion.wish((5,), 0.0)
    assert not motion.wish((6,), 0.05)
    assert not motion.wish((9,), 0.10)
    assert motion.wish((500,), 0.15), "far away"
    assert motion.wish((499,), 0.20), "the other way"
    assert motion.moving(0.21)
    assert not motion.moving(1.0)
    assert motion.still_after_s <= 0.08, "refined within a round trip"
    assert motion.ahead((499,), 3, 1000) == [(498,), (497,), (496,)]
    assert outward((1,), 3, 4, 1) == [(2,), (0,), (3,)]


def test_that_the_prefetch_budget_is_of_the_last_hour() -> None:
    budget = PrefetchBudget(1000)
    budget.spend(700, 0.0)
    budget.spend(500, 1800.0)
    assert budget.left(1800.0) == 0
    assert budget.left(3700.0) == 500


def test_that_what_is_fetched_ahead_stops_at_the_budget(qapp: object) -> None:
    from PySide6.QtCore import QObject

    sent: list[Key] = []
    owner, budget = QObject(), PrefetchBudget(100)
    ahead = FetchAhead(EIGER, pace(LAN, f2=289_000), Motion(), budget, lambda key: key in sent, sent.append, owner)
    ahead.rest((10,), 2, 10**9)
    assert sent == [Key((11,), None, 2)]
    ahead.spend((11,), 100)
    ahead._send_neighbour()
    assert len(sent) == 1
    ahead.seen((11,))
    assert budget.left(time.monotonic()) == 100, "what is looked at was not fetched in vain"
    ahead.stop()


def test_that_tiles_cover_a_large_picture_at_one_to_one_and_only_there() -> None:
    key = EIGER.region_key((3,), (100.0, 1500.0, 600.0, 2068.0), (1400, 1468), 2, None)
    assert key is not None
    assert key.region == (0, 1536, 512, 2068)
    tiles = EIGER.tiles(key)
    assert len(tiles) == 3 * 4
    assert sum((t.region[1] - t.region[0]) * (t.region[3] - t.region[2]) for t in tiles if t.region) == 1536 * 1556
    reduced = EIGER.region_key((3,), (0.0, 2000.0, 0.0, 2000.0), (500, 500), 8, None)
    assert reduced is not None
    assert EIGER.tiles(reduced) == ()


@pytest.mark.parametrize("arrived", [1, 5, 11])
def test_that_an_unfinished_picture_is_partial_and_filled_from_the_overview(arrived: int) -> None:
    frame = np.random.default_rng(2).poisson(2, (2162, 2068)).astype("u2")
    overview = Block(np.full((541, 517), 9, "u2"), REFERENCE, Selection(), frame.shape, Exactness.POOLED, (4, 4))
    key = Key((3,), (0, 1536, 512, 2068), 1)
    tiles = EIGER.tiles(key)
    there = {tile: Block(frame[tile.region[0]:tile.region[1], tile.region[2]:tile.region[3]], REFERENCE, Selection(),
                         (512, 512)) for tile in tiles[:arrived] if tile.region}
    block = compose(key, tiles, there.get, overview)
    assert block is not None
    assert block.exactness is Exactness.PARTIAL
    assert block.parts == (arrived, 12)
    assert block.values.shape == (1536, 1556)
    filled = np.ones(block.values.shape, bool)
    for tile in there:
        y0, y1, x0, x1 = tile.region or (0, 0, 0, 0)
        np.testing.assert_array_equal(block.values[y0:y1, x0 - 512:x1 - 512], frame[y0:y1, x0:x1])
        filled[y0:y1, x0 - 512:x1 - 512] = False
    assert (block.values[filled] == 9).all()


def test_that_a_finished_picture_is_exact() -> None:
    frame = np.random.default_rng(2).poisson(2, (2162, 2068)).astype("u2")
    overview = Block(np.zeros((541, 517), "u2"), REFERENCE, Selection(), frame.shape, Exactness.POOLED, (4, 4))
    key = Key((3,), (1024, 2162, 1536, 2068), 1)
    there = {tile: Block(frame[tile.region[0]:tile.region[1], tile.region[2]:tile.region[3]], REFERENCE, Selection(),
                         (512, 512)) for tile in EIGER.tiles(key) if tile.region}
    block = compose(key, EIGER.tiles(key), there.get, overview)
    assert block is not None
    assert (block.exactness, block.parts) == (Exactness.EXACT, None)
    np.testing.assert_array_equal(block.values, frame[1024:2162, 1536:2068])
    assert not block.values.flags.writeable
