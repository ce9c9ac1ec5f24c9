"""A private Python environment at a site whose Pythons lack numpy and h5py: offered, put there, used, removed.

It is a folder of unpacked wheels in the site's cache folder, added to the agent's path by
:data:`app.remote.boot.SOURCE`, which finds it there the next time without a question. Nothing else at the site is
changed, and no pip or venv is needed there. Blocks, on the connection's thread; ends soon after the person cancels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from app.errors import AgentError, BeamsideError, CancelledByUserError, LinkError, LinkLostError, StorageFullError
from app.model.site import SiteProfile
from app.model.units import bytes_text
from app.remote.boot import Boot
from app.remote.deploy import NoUsablePythonError, python_command
from app.remote.private_boot import INSTALL, LOOK, REMOVE
from app.remote.seams import Interaction, Transport
from app.remote.wheels import SitePython, Wheel, fetch

log = logging.getLogger(__name__)

_LOOK_S = 90.0
_INSTALL_S = 300.0
_SLICE = 256 * 1024
_SAY_EVERY_S = 0.5
_SPARE = 1.05
_ASK_THE_FACILITY = ("Ask the facility for a Python 3.8 or newer with numpy and h5py (a module or an environment will "
                     "do), and name it under [agent] python in the site profile.")


def provide(transport: Transport, profile: SiteProfile, lack: NoUsablePythonError, interaction: Interaction,
            nonce: str, prefix: Sequence[str] = ()) -> None:
    """Put packages beside one of the Pythons that lack them, if the person agrees; then the agent can be started.

    Args:
        lack: what starting the agent gave.
        nonce: what answers hold; new for every call.
        prefix: what the command line begins with (a batch allocation's step).

    Raises:
        NoUsablePythonError: no Python there can be helped, or the person does not want it.
        StorageFullError: there is no room.
        AgentError: the packages cannot be stored, or do not work there.
        LinkError: the link is lost, or the packages could not be fetched.
        CancelledByUserError: the person gave up on the way.
    """
    if not lack.without_packages:
        raise lack
    candidate = lack.without_packages[0]
    command = [*prefix, *python_command(candidate), "-I", "-X", "utf8", "-c"]
    place = _look(transport, [*command, LOOK, profile.agent.cache, nonce], nonce)
    python = _site_python(place)
    if python is None:
        raise lack
    title = profile.title or profile.name
    interaction.say(f"{title} has no Python with numpy and h5py; fetching packages for its Python {place['python']}…")
    wheels = fetch(python, interaction.cancelled)
    size, unpacked = sum(wheel.bytes for wheel in wheels), sum(wheel.unpacked_bytes for wheel in wheels)
    _check_room(place, size + unpacked, title)
    if not interaction.confirm(profile.name, f"Put a private Python environment at {title}?",
                               _question(place, size, unpacked, title), "Install it there", lambda: transport.alive):
        if not transport.alive:
            raise LinkLostError(f"The connection to {title} was lost while you were asked about a private Python.",
                                remedy="Nothing was put there. Connect again.")
        if interaction.cancelled.is_set():
            raise CancelledByUserError("Connecting was cancelled.")
        raise NoUsablePythonError(lack.summary, lack.detail, lack.remedy)
    name = python.prefix + hashlib.sha256("".join(wheel.digest for wheel in wheels).encode()).hexdigest()[:16]
    manifest = json.dumps([[wheel.name, wheel.bytes, wheel.digest] for wheel in wheels])
    arguments = [*command, INSTALL, profile.agent.cache, nonce, name, python.prefix, manifest]
    _install(transport, arguments, nonce, wheels, interaction, title)


def remove(transport: Transport, profile: SiteProfile) -> list[str]:
    """Take away what was put there; the names of the folders that were removed.

    Raises:
        AgentError: they could not be removed.
        LinkError: the site did not answer.
    """
    done = transport.run(["sh", "-c", REMOVE, "beamside", profile.agent.cache], timeout_s=300)
    if done.exit_code != 0:
        raise AgentError(f"The private Python at {profile.title or profile.name} could not be removed.",
                         done.error_text[-2000:], f"Remove the folders private-* in {profile.agent.cache} there.")
    return done.text.split()


def _look(transport: Transport, argv: Sequence[str], nonce: str) -> dict[str, Any]:
    boot = Boot(transport.start(argv), nonce, _LOOK_S)
    try:
        while (answer := boot.answer()) is not None:
            if answer.get("result"):
                if answer["result"] != "ready":
                    raise _refusal(answer)
                return answer
        raise _why(boot, transport)
    finally:
        boot.close()


def _site_python(place: dict[str, Any]) -> SitePython | None:
    if place.get("implementation") != "cpython" or place.get("system") != "Linux" or place.get("bits") != 64:
        return None
    kind, _, version = str(place.get("libc") or "").partition(" ")
    try:
        major, minor = (int(part) for part in str(place["python"]).split("."))
        glibc = tuple(int(part) for part in version.split(".")[:2]) if kind == "glibc" else None
    except ValueError:
        return None
    return SitePython((major, minor), str(place["machine"]), (glibc[0], glibc[1]) if glibc else None)


def _room(place: dict[str, Any]) -> int:
    quota = place.get("quota")
    free = int(place["free"])
    return free if quota is None else min(free, int(quota))


def _check_room(place: dict[str, Any], needed: float, title: str) -> None:
    room = _room(place)
    if room < needed * _SPARE:
        raise StorageFullError(f"A private Python at {title} needs {bytes_text(needed)} in {place['folder']}, "
                               f"but only {bytes_text(room)} are free.",
                               remedy="Make room there, name another folder under [agent] cache in the site profile, "
                                      "or ask the facility for a Python with numpy and h5py.")


def _question(place: dict[str, Any], size: int, unpacked: int, title: str) -> str:
    room = f"{bytes_text(int(place['free']))} are free there"
    if place.get("quota") is not None:
        room += f", your quota leaves {bytes_text(int(place['quota']))}"
    return (f"No Python at {title} has numpy and h5py, which reading files there needs. Beamside can put copies of its "
            f"own into {place['folder']}: {bytes_text(size)} to send, {bytes_text(unpacked)} on the disk there "
            f"({room}). Nothing else is changed, and the menu has an entry that removes them again.")


def _install(transport: Transport, argv: Sequence[str], nonce: str, wheels: Sequence[Wheel], interaction: Interaction,
             title: str) -> None:
    boot = Boot(transport.start(argv), nonce, _LOOK_S)
    try:
        while (answer := boot.answer()) is not None:
            if answer.get("result") == "installed":
                log.info("a private Python is in %s", answer.get("folder"))
                return
            if answer.get("result"):
                raise _refusal(answer)
            boot.extend(_INSTALL_S)
            if answer.get("unpacked"):
                interaction.say(f"Trying the private Python at {title}…")
            else:
                _send(boot, wheels, interaction, title)
        raise _why(boot, transport)
    finally:
        boot.close()


def _send(boot: Boot, wheels: Sequence[Wheel], interaction: Interaction, title: str) -> None:
    total, sent, told = sum(wheel.bytes for wheel in wheels), 0, 0.0
    for wheel in wheels:
        data = memoryview(wheel.path.read_bytes())
        while data:
            if interaction.cancelled.is_set():
                raise CancelledByUserError("Putting a private Python there was cancelled.",
                                           remedy="What had arrived is removed; nothing half-made is used.")
            try:
                boot.write(bytes(data[:_SLICE]))
            except LinkLostError:
                return                  # what it has said, or why the link is lost, is found by reading on
            sent += min(_SLICE, len(data))
            data = data[_SLICE:]
            boot.extend(_INSTALL_S)
            if time.monotonic() - told > _SAY_EVERY_S:
                told = time.monotonic()
                interaction.say(f"Sending a private Python to {title}: {bytes_text(sent)} of {bytes_text(total)}…")
    interaction.say(f"Unpacking the private Python at {title}…")


def _why(boot: Boot, transport: Transport) -> BeamsideError:
    if not transport.alive:
        return LinkLostError("The connection was lost while a private Python was put at the site.",
                             remedy="Nothing half-made is used. Connect again.")
    if boot.late:
        return LinkError("The site did not answer in time while a private Python was put there.",
                         boot.last_words()[-2000:], "The facility may be busy. Connect again.")
    return AgentError("The program that puts a private Python at the site ended early.", boot.last_words()[-2000:],
                      _ASK_THE_FACILITY)


def _refusal(answer: dict[str, Any]) -> BeamsideError:
    folder, detail = answer.get("folder"), str(answer.get("detail") or "")
    if answer["result"] == "full":
        return StorageFullError(f"There is no room for a private Python in {folder} at the site.", detail,
                                "Make room there, or name another folder under [agent] cache in the site profile.")
    if answer["result"] == "damaged":
        return AgentError("The packages were damaged on the way to the site.", detail, "Connect again.")
    if answer["result"] == "unusable":
        return AgentError("The private Python does not run at the site, and was removed again.", detail,
                          _ASK_THE_FACILITY)
    return AgentError(f"A private Python cannot be stored in {folder} at the site.", detail,
                      "Name a folder that you may write to under [agent] cache in the site profile.")
