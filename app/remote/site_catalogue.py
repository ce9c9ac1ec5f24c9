"""Which sites there are: those shipped with the program, the user's own, and those given for this run.

Profiles come from ``resources/facilities``, from ``sites/`` in the configuration folder and from whoever starts the
program (the demo's). Shipped facilities are a catalogue, not the user's sites: ``yours`` are ``local``, given and own
ones, and shipped ones that were connected to before. Reads and writes small files; any thread.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app import paths
from app.errors import DataError, UsageError
from app.model.findings import Findings
from app.model.site import LOCAL, LOCAL_NAME, SiteProfile
from app.remote.profiles import parse_profile
from app.resources import resource_path

log = logging.getLogger(__name__)

KINDS = ("local", "own", "shipped", "given", "demo")
DEMO_NAME = "demo"


@dataclass(frozen=True)
class KnownSite:
    """A site as the lists show it.

    Attributes:
        kind: ``local``, ``own``, ``shipped``, ``demo`` or ``given`` (for this run only).
        yours: whether commands without a site, the start page and the chooser take it as one of the user's.
        file: where its profile was read; ``None``: nowhere.
    """

    profile: SiteProfile
    kind: str
    yours: bool
    file: Path | None = None

    @property
    def name(self) -> str:
        return self.profile.name


class SiteCatalogue:
    """All known sites by name; ``local`` is always one."""

    def __init__(self, given: Iterable[SiteProfile] = ()) -> None:
        self._given = {profile.name: profile for profile in given}
        self._found: dict[str, Findings] = {}
        self._sites: dict[str, KnownSite] = {}
        self._used: set[str] = set()
        self._lock = threading.RLock()
        self.faults: list[UsageError] = []
        self.reload()

    def reload(self) -> None:
        """Read all profiles again; a broken one is left out and its sentence kept in ``faults``."""
        faults: list[UsageError] = []
        used = _read_used(_used_file())
        found = {LOCAL_NAME: KnownSite(LOCAL, "local", True)}
        for folder, kind in ((resource_path("facilities"), "shipped"), (_own_folder(), "own")):
            for file in sorted(folder.glob("*.toml")):
                try:
                    profile = read_profile(file)
                except UsageError as error:
                    faults.append(error)
                    continue
                found[profile.name] = KnownSite(profile, kind, kind == "own" or profile.name in used, file)
        with self._lock:
            for profile in self._given.values():
                kind = "demo" if profile.name == DEMO_NAME else "given"
                found[profile.name] = KnownSite(profile, kind, True)
            self._sites, self._used, self.faults = found, used, faults

    # -- facts ------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """``local`` first, then by name."""
        return sorted(self._sites, key=lambda name: (name != LOCAL_NAME, name))

    def yours(self) -> list[str]:
        """The user's own, given and used ones; ``local`` first, then by name."""
        return [name for name in self.names() if self._sites[name].yours]

    def site(self, name: str) -> KnownSite:
        """The site called ``name``.

        Raises:
            UsageError: no such site.
        """
        try:
            return self._sites[name]
        except KeyError:
            known = ", ".join(self.names())
            raise UsageError(f"There is no site called “{name}”.",
                             remedy=f"Known sites: {known}. Add one with: beamside sites add FILE") from None

    def profile(self, name: str) -> SiteProfile:
        """The profile called ``name``, with what was found there for values it leaves open.

        Raises:
            UsageError: no such site.
        """
        profile = self.site(name).profile
        found = self._found.get(name)
        return found.completing(profile) if found is not None else profile

    def found(self, name: str) -> Findings | None:
        """What was found at a site in this run, and is not in its profile."""
        return self._found.get(name)

    def kind(self, name: str) -> str:
        return self.site(name).kind

    def file(self, name: str) -> Path | None:
        """The file a profile was read from; ``None`` for the built-in site and those given for this run."""
        return self.site(name).file

    def text(self, name: str) -> str:
        """The text of a profile's file; empty if it has none.

        Raises:
            UsageError: it cannot be read.
        """
        file = self.file(name)
        return read_text(file) if file is not None else ""

    # -- verbs ------------------------------------------------------------------------------------------------------

    def add(self, file: Path) -> SiteProfile:
        """Take a profile into the user's own.

        Raises:
            UsageError: what is wrong with it.
            DataError: the configuration folder cannot be written.
        """
        return self.save(read_text(file), file.name)

    def save(self, text: str, source: str = "the profile") -> SiteProfile:
        """Keep a profile's text among the user's own, in place of one of that name.

        Raises:
            UsageError: what is wrong with it; ``source`` is what it is called in the sentence.
            DataError: the configuration folder cannot be written.
        """
        profile = parse_profile(text, source)
        folder = _own_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paths.write_whole(folder / f"{profile.name}.toml", text.encode())
        except OSError as error:
            raise DataError(f"The site profile cannot be stored in {folder}: {error.strerror or error}.",
                            remedy="Name another configuration folder with --config.") from None
        with self._lock:
            self._given.pop(profile.name, None)
            self._found.pop(profile.name, None)
        self.reload()
        return profile

    def remove(self, name: str) -> None:
        """Forget one of the user's own profiles, a broken one too; a shipped one that was used is no longer theirs.

        Raises:
            UsageError: it is neither.
            DataError: the file cannot be removed.
        """
        own = {file.stem: file for file in _own_folder().glob("*.toml")}
        if name in self._used and name not in own:
            self._remember(self._used - {name})
        elif name not in own:
            self.site(name)   # says so when there is no such site at all
            raise UsageError(f"“{name}” is not one of your own sites, so it cannot be removed.",
                             remedy="Those added with “beamside sites add” can be.")
        else:
            try:
                own[name].unlink()
            except OSError as error:
                raise DataError(f"The site profile {own[name]} cannot be removed: {error.strerror or error}.",
                                remedy="Remove the file yourself.") from None
        self.reload()

    def give(self, profile: SiteProfile) -> None:
        """Know a profile for this run only (the demo facility's, one that is being tried)."""
        with self._lock:
            self._given[profile.name] = profile
        self.reload()

    def take_back(self, name: str) -> None:
        """Forget what was given for this run."""
        with self._lock:
            self._given.pop(name, None)
        self.reload()

    def learn(self, name: str, found: Findings) -> None:
        """Use for this run what a login showed; the profile's own words win."""
        with self._lock:
            self._found[name] = found

    def note_use(self, name: str) -> None:
        """It was connected to: from now on a shipped facility is one of the user's sites."""
        known = self._sites.get(name)
        if known is not None and known.kind == "shipped" and not known.yours:
            self._remember(self._used | {name})
            with self._lock:
                self._sites = {**self._sites, name: replace(known, yours=True)}

    def _remember(self, used: set[str]) -> None:
        try:
            _used_file().parent.mkdir(parents=True, exist_ok=True)
            paths.write_whole(_used_file(), json.dumps(sorted(used)).encode())
        except OSError as error:
            log.warning("which sites were used is not remembered: %s", error)
        with self._lock:
            self._used = used


def read_profile(file: Path) -> SiteProfile:
    """Read one profile from a file.

    Raises:
        UsageError: it cannot be read, or has a fault.
    """
    return parse_profile(read_text(file), file.name)


def read_text(file: Path) -> str:
    """The text of a profile.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no file {file}.", remedy="Check the path of the site profile.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The site profile {file} cannot be read.", detail=str(error),
                         remedy="It must be a text file (TOML, UTF-8) that you may read.") from None


def _own_folder() -> Path:
    return paths.config_dir() / "sites"


def _used_file() -> Path:
    return paths.state_dir() / "sites-used.json"


def _read_used(file: Path) -> set[str]:
    try:
        names = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        log.warning("%s unreadable: %s", file, error)
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
