"""How the tests are shared out among pytest-xdist's workers: by file, and those of one heavy peer to one worker.

What takes longest begins first, so that no worker has a long file left in the end: when each of them had nothing more
to do is said there. Within a file the order stays.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
# A file that names all of the words belongs to the group: Slurm makes accounts and daemons once, as FreeRADIUS does.
GROUPS = {("slurm_states",): "tests/system (Slurm states)",
          ("SlurmFacility", "GridFacility"): "tests/system (Slurm and Grid Engine)",
          ("SlurmFacility",): "tests/system (Slurm)", ("GridFacility",): "tests/system (Grid Engine)",
          ("MoonshotFacility",): "tests/system (Moonshot)"}
# These wait long, or compute long; the more, the earlier.
LONGEST = (
    "tests/system (Slurm)", "tests/system (Slurm and Grid Engine)", "tests/system (Slurm states)",
    "tests/system (Grid Engine)",
    "tests/cli/test_contract_facility.py", "tests/unit/recipes/test_azimuthal_array.py",
    "tests/cli/test_contract.py", "tests/system (Moonshot)", "tests/cli/test_contract_get.py",
    "tests/unit/agent_hdf5/test_statistics.py",
    "tests/gui/test_answers_local.py", "tests/contract/test_data_service_contract.py",
    "tests/system/test_signin_keyring.py", "tests/contract/test_picture_contract.py",
    "tests/contract/test_connection.py", "tests/cli/test_contract_targets.py",
    "tests/unit/recipes/test_azimuthal_integration.py")


class ByFileAndPeer(LoadScopeScheduling):
    """One unit of work per file or group, the longest first."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        self._begun = time.monotonic()
        self._last: dict[str, tuple[float, str]] = {}           # per worker: when, and which unit of work

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        unit = self._split_scope(self.registered_collections[node][item_index])
        self._last[node.gateway.id] = time.monotonic() - self._begun, unit
        super().mark_test_complete(node, item_index, duration)

    def ends(self) -> str:
        """When each worker ended its last test, for people."""
        return "; ".join(f"{worker} {after:.0f} s ({unit})" for worker, (after, unit) in sorted(self._last.items()))

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.split("::", 1)[0])

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False    # not those with the most tests first
        super().schedule()


def turn(nodeid: str) -> int:
    """When a test's unit of work begins; to be sorted by."""
    group = group_of(nodeid.split("::", 1)[0])
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


@functools.cache
def group_of(file: str) -> str:
    """Whose tests must be in one worker with those of ``file`` (relative to the checkout)."""
    path = ROOT / file
    text = path.read_text("utf-8") if path.is_file() and file.startswith("tests/system") else ""
    return next((group for words, group in GROUPS.items() if all(word in text for word in words)), file)

