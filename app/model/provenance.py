"""How a result came about, as the result itself says it (NXprocess). Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.model.data import DataReference
from app.model.jobs import JobSpec
from app.model.text import visible


@dataclass(frozen=True)
class Provenance:
    """What a result was made by and from.

    Attributes:
        result: the file, and the NXprocess group in it.
        recipe, version: of the recipe; ``version`` ``""``: it does not say.
        parameters: by name, as the program got them.
        inputs: ``FILE[::/data/path]`` at the site.
        job_id: ours; scheduler_id: the batch system's; ``""``: it does not say.
        program, program_version: what computed.
        date: ``2026-11-22``; ``""``: it does not say.
        fault: what of it cannot be used, in one sentence; ``""``: nothing.
    """

    result: DataReference
    recipe: str
    version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    job_id: str = ""
    scheduler_id: str = ""
    program: str = ""
    program_version: str = ""
    date: str = ""
    fault: str = ""

    @property
    def sentence(self) -> str:
        """``azimuthal integration 2.0, job 8812, 2026-11-22``."""
        what = f"{self.recipe.replace('-', ' ')} {self.version}".strip()
        job = self.scheduler_id or self.job_id
        return visible(", ".join(part for part in (what, f"job {job}" if job else "", self.date) if part))


@dataclass(frozen=True)
class Refill:
    """The wish that a result came from; ``sentences``: what is otherwise now than it was when the result was made."""

    spec: JobSpec
    sentences: tuple[str, ...] = ()
