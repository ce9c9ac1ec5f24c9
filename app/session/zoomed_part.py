"""The part of a frame that is zoomed into, over the reduced picture of the whole: in one piece, or in tiles.

GUI thread; never waits. Tiles are shown as they come, what is missing filled from the overview and marked PARTIAL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

from app.model.data import Block, Exactness
from app.session.picture_keys import TILE, FrameGeometry, Key, Visible
from app.session.picture_memory import PictureMemory
from app.session.tile_board import compose

TILES_EVERY_MS = 40

Leading = tuple[int, ...]


class ZoomedPart(QObject):
    """Chooses and shows; the panel's source sends what is wanted.

    Args:
        show: called with (block, leading, region).
        look_again: called when tiles that came meanwhile may be shown.
    """

    def __init__(self, geometry: FrameGeometry, memory: PictureMemory, owner: QObject,
                 show: Callable[[Block, Leading, Any], object], look_again: Callable[[], object]) -> None:
        super().__init__(owner)
        self._geometry = geometry
        self._memory = memory
        self._show = show
        self.shown: Key | None = None
        self._composed: tuple[Key, int] | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(TILES_EVERY_MS)
        self._pause.timeout.connect(look_again)

    def take_geometry(self, geometry: FrameGeometry) -> None:
        self._geometry = geometry

    def clear(self) -> None:
        """Another frame is on screen, without any part of it in detail."""
        self.shown = self._composed = None
        self._pause.stop()

    def look(self, leading: Leading, visible: Visible | None, device: tuple[int, int],
             whole: tuple[Key, Block], oversampling: float) -> list[Key]:
        """Show what there is of the part that is visible; the pictures still to be asked for.

        Args:
            whole: the frame's reduced picture, which lies under it.
        """
        key = None if visible is None \
            else self._geometry.region_key(leading, visible, device, whole[0].factor, self.shown, oversampling)
        if key is None:
            if self.shown is not None or self._composed is not None:
                self.clear()
                self._show(whole[1], leading, None)
            return []
        tiles = self._geometry.tiles(key)
        wanted = [tile for tile in tiles or (key,) if tile not in self._memory]
        if not wanted and self.shown != key:
            block = compose(key, tiles, self._memory.get, whole[1]) if tiles else self._memory.get(key)
            if block is not None:
                self.clear()
                self.shown = key
                self._show(block, leading, key.region)
        elif wanted and tiles and not self._pause.isActive():
            self._show_arrived(key, tiles, len(tiles) - len(wanted), whole[1])
        return wanted

    def value(self, leading: Leading, y: int, x: int) -> Any | None:
        """What an exact picture in memory says of a pixel; never what was filled in."""
        if self._geometry.colour:
            return None
        top, left = y // TILE * TILE, x // TILE * TILE
        tile = (top, min(top + TILE, self._geometry.height), left, min(left + TILE, self._geometry.width))
        places = [Key(leading, None, 1), Key(leading, tile, 1)]
        if self.shown is not None and self.shown.leading == leading:
            places.append(self.shown)
        for key in places:
            block = self._memory.get(key)
            if block is None or block.exactness is not Exactness.EXACT:
                continue
            y0, x0 = (key.region[0], key.region[2]) if key.region is not None else (0, 0)
            if 0 <= y - y0 < block.values.shape[-2] and 0 <= x - x0 < block.values.shape[-1]:
                return block.values[..., y - y0, x - x0][()]
        return None

    def _show_arrived(self, key: Key, tiles: tuple[Key, ...], count: int, overview: Block) -> None:
        if not count or self._composed == (key, count):
            return
        block = compose(key, tiles, self._memory.get, overview)
        if block is not None:
            self.shown, self._composed = None, (key, count)
            self._show(block, key.leading, key.region)
            self._pause.start()
