"""A numbered series of image files (``scan_####.cbf``) as one stack, one file read at a time.

Frame 0 is the first file; ``/number`` tells the number of each. Numbers between the first and the last that have no
file are frames without a valid pixel, unless most are missing: then only what is there counts. Runs in a worker
process of the agent, in one thread. Without fabio: one sentence.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

import numpy as np

from app.agent import numbered
from app.agent.images import IMAGE_PATH, ImageFile, image_kind, no_fabio
from app.agent.opening import Generation, shown
from app.agent.pictures import FilesFrames, InMemory, Picture, Pictures, Unreadable, first_picture
from app.protocol.errors import WireError
from app.protocol.series import frame_numbers, split_pattern

NUMBER_PATH = "/number"
FIRST_IMAGE = "image_nr_low"  # what detectors call the number of the first frame
_TRIED = 10
_NAMED = 3


class SeriesOfFiles(ImageFile):
    """The files of one series; ``/image`` is (frames, height, width), ``/number`` what stands in their names."""

    def __init__(self, path: str, generation: Generation, kind: str, first: Picture, numbers: List[int],
                 names: List[str], missing: List[str]) -> None:
        folder = os.path.dirname(path)
        there = set(names) - set(missing)
        files = [os.path.join(folder, name) if name in there else None for name in names]
        super().__init__(path, generation, kind, Pictures(len(names), first.values, FilesFrames(kind, files, names)),
                         first.header)
        self.arrays[NUMBER_PATH] = InMemory(np.array(numbers, np.int64))
        if numbers[-1] - numbers[0] + 1 == len(numbers):
            self.attributes[FIRST_IMAGE] = numbers[0]
        self._missing = missing

    def description(self, data_path: Optional[str]) -> Dict[str, Any]:
        answer = super().description(data_path)
        if answer["signal"] == IMAGE_PATH:
            answer["axes"] = [NUMBER_PATH, None, None]
            if self._missing:
                answer["missing"] = [_all_missing([shown(name) for name in self._missing])]
        return answer


def open_series(path: str, generation: Generation) -> Optional[SeriesOfFiles]:
    """Open a series by its name; ``None``: the path is a file's.

    Raises:
        WireError: no fabio, or none of the first files can be read.
    """
    if not numbered.is_series(path) or os.path.exists(path):
        return None
    found = numbered.members(path)
    wanted = split_pattern(os.path.basename(path))
    if not found.names or wanted is None:
        return None  # opening it as HDF5 says that it is not there
    stem, width, suffix = wanted
    name_of = dict(zip(found.numbers, found.names))
    numbers = frame_numbers(found.numbers)
    names = [name_of.get(number) or "%s%0*d%s" % (stem, width, number, suffix) for number in numbers]
    missing = [name for number, name in zip(numbers, names) if number not in name_of]
    folder, why = os.path.dirname(path), ""
    for name in found.names[:_TRIED]:
        file = os.path.join(folder, name)
        try:
            kind = image_kind(file)
            first, count = first_picture(file, kind)
        except ImportError as error:
            raise no_fabio("“%s” are images" % shown(os.path.basename(path)), str(error)) from None
        except (Unreadable, OSError) as error:
            why = why or "%s %s" % (shown(name), error)
            continue
        if count == 1 and first.values.ndim == 2 and kind:
            return SeriesOfFiles(path, generation, kind, first, numbers, names, missing)
        why = why or "%s holds something else than one picture" % shown(name)
    raise WireError("damaged", "The series “%s” cannot be read: %s." % (shown(os.path.basename(path)), why), "",
                    "Open one of its files by itself, or copy them again from where they came.")


def _all_missing(names: List[str]) -> str:
    if len(names) == 1:
        return "%s is missing; its frame has no values." % names[0]
    more = " and %d more" % (len(names) - _NAMED) if len(names) > _NAMED else ""
    return "%s%s are missing; their frames have no values." % (", ".join(names[:_NAMED]), more)
