"""How the tests are shared out among pytest-xdist's workers: by file, and those of one heavy peer to one worker.

What takes longest begins first, so that no worker has a long file left in the end. Within a file the order stays.
"""

from __future__ import annotations

import functools
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
# A file that names the first belongs to the group: Slurm makes accounts and daemons once, and so does FreeRADIUS.
GROUPS = {"slurm_states": "tests/system (Slurm states)", "SlurmFacility": "tests/system (Slurm)",
          "GridFacility": "tests/system (Grid Engine)", "MoonshotFacility": "tests/system (Moonshot)"}
# These wait long, or compute long; the more, the earlier.
LONGEST = (
    "tests/cli/test_contract_facility.py", "tests/system (Slurm)", "tests/system (Slurm states)",
    "tests/system (Grid Engine)", "tests/unit/recipes/test_azimuthal_array.py",
    "tests/cli/test_contract.py", "tests/system (Moonshot)", "tests/cli/test_contract_get.py",
    "tests/unit/agent_hdf5/test_statistics.py",
    "tests/gui/test_answers_local.py", "tests/contract/test_data_service_contract.py",
    "tests/system/test_signin_keyring.py", "tests/contract/test_picture_contract.py",
    "tests/contract/test_connection.py", "tests/cli/test_contract_targets.py",
    "tests/unit/recipes/test_azimuthal_integration.py")


class ByFileAndPeer(LoadScopeScheduling):
    """One unit of work per file or group, the longest first."""

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
    return next((group for word, group in GROUPS.items() if word in text), file)

