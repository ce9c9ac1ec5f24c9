"""What a look around at a site showed after login, and what of it a profile may take. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.model.site import AgentSettings, BatchSettings, SiteProfile

CONTAINERS = ("apptainer", "podman", "ch-run")          # those a profile can name, best first


@dataclass(frozen=True)
class PythonFound:
    """One way to start Python: its version and what it lacks; ``version`` empty: there is none."""

    command: str
    version: str = ""
    missing: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the agent can run in it: 3.8 or newer with numpy and h5py."""
        numbers = self.version.split(".")[:2]
        new = len(numbers) == 2 and all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) >= (3, 8)
        return new and not self.missing


@dataclass(frozen=True)
class FolderFound:
    """A data root of the profile: ``path`` is the part before its first placeholder."""

    root: str
    path: str
    there: bool


@dataclass(frozen=True)
class Findings:
    """One look around.

    Attributes:
        day: when, ``2026-11-22``.
        system: the batch system (``slurm``, ``gridengine``, ``pbs``); empty: none was found.
        partitions: its partitions or queues.
        modules: whether environment modules can be loaded in a login shell.
        pythons: those tried, in order.
        folders: the profile's data roots.
        home, user, host: the account's.
        containers: container runtimes, by command.
        complete: whether all of it could be asked.
    """

    day: str
    system: str = ""
    partitions: tuple[str, ...] = ()
    modules: bool = False
    pythons: tuple[PythonFound, ...] = ()
    folders: tuple[FolderFound, ...] = ()
    home: str = ""
    user: str = ""
    host: str = ""
    containers: tuple[str, ...] = ()
    complete: bool = True

    @property
    def runtime(self) -> str:
        """The container runtime a profile would name; empty: none was found."""
        return next((name for name in CONTAINERS if name in self.containers), "")

    @property
    def python(self) -> str:
        """The first Python that fits; empty: none does."""
        return next((python.command for python in self.pythons if python.fits), "")

    def completing(self, profile: SiteProfile) -> SiteProfile:
        """``profile`` with what it leaves open: the batch system with its partitions, the container runtime.

        A system that is known is asked for its partitions whenever they are needed.
        """
        left = {"agent.python"} if not profile.batch.system else {"agent.python", "batch.partitions"}
        return self.taken_by(profile, frozenset(open_values(profile)) - left)

    def values(self, profile: SiteProfile) -> dict[str, str]:
        """What a profile could take, key by key, as text; only what was found and says something new."""
        found: dict[str, str] = {}
        if self.system and self.system != profile.batch.system:
            found["batch.system"] = self.system
        if self.partitions and self.partitions != profile.batch.partitions:
            found["batch.partitions"] = ", ".join(self.partitions)
        if self.runtime and self.runtime != profile.software.containers:
            found["software.containers"] = self.runtime
        if self.python and self.python != profile.agent.python[0]:
            found["agent.python"] = self.python
        return found

    def taken_by(self, profile: SiteProfile, keys: frozenset[str]) -> SiteProfile:
        """``profile`` with the values of ``keys``, each with its source."""
        taken = [key for key in self.values(profile) if key in keys]
        batch, software, agent = profile.batch, profile.software, profile.agent
        if "batch.system" in taken:
            batch = replace(batch, system=self.system)
        if "batch.partitions" in taken:
            batch = replace(batch, partitions=self.partitions)
        if "software.containers" in taken:
            software = replace(software, containers=self.runtime)
        if "agent.python" in taken:
            agent = replace(agent, python=(self.python, *(p for p in agent.python if p != self.python)))
        sources = {**profile.sources, **dict.fromkeys(taken, f"probed {self.day}")}
        return replace(profile, batch=batch, software=software, agent=agent, sources=sources)


def open_values(profile: SiteProfile) -> list[str]:
    """The keys a look around may answer that a profile leaves open."""
    if profile.is_local:
        return []
    found = []
    if profile.batch.system == BatchSettings().system:
        found += ["batch.system"]
    if not profile.batch.partitions:
        found += ["batch.partitions"]
    if not profile.software.containers:
        found += ["software.containers"]
    if profile.agent.python == AgentSettings().python and "agent.python" not in profile.sources:
        found += ["agent.python"]
    return found
