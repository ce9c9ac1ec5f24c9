"""One examination of one site: network, sign-in, the way there, and what is there, step by step.

Blocks on the caller's thread until it is over; the person is asked as by any connection, and once, since all that is
looked at behind the login goes over one connection. Nothing is changed at the site or on this computer, but what the
person agrees to (an unknown host key).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import BeamsideError, CancelledByUserError, UsageError
from app.model.doctor import Report, Step
from app.model.site import SiteProfile
from app.remote.doctor import far_side, network, report, signing_in
from app.remote.doctor.agent_trial import AgentTrial
from app.remote.doctor.board import Board, Found, failed, skipped
from app.remote.doctor.listening import Listening
from app.remote.doctor.signing_in import SignIn
from app.remote.doctor.way import Way
from app.remote.seams import ByteStream, Interaction, Transport
from app.remote.ssh.connect import Watcher
from app.remote.ssh.route import Stop, plan

Connect = Callable[[Interaction, Watcher], Transport]
_NETWORK_S = 60.0
_PERSON_S = 1800.0
_COMMAND_S = 120.0
_AGENT_S = 420.0
_FAR_STEPS = (("banner_noise", "What start-up files print"), ("shell", "Login shell"), ("python", "Python"),
              ("agent", "Agent"), ("workers", "Workers"), ("scheduler", "Batch system"), ("data_roots", "Data"),
              ("clock", "Clocks"), ("space", "Room in the cache folder"))
_LOCAL_STEPS = ("agent", "workers", "scheduler", "data_roots")
_NOT_REACHED = "Not looked at, since the connection failed before."


@dataclass(frozen=True)
class Patient:
    """What is examined.

    Attributes:
        session: the sign-in; ``None``: the site has none of its own.
        connect: as the program connects (``open_ssh``), told of what happens by the watcher.
    """

    profile: SiteProfile
    session: SignIn | None
    connect: Connect


def examine(patient: Patient, interaction: Interaction, tell: Callable[[Step], None] = lambda step: None) -> Report:
    """Look at everything from this computer to the data.

    Args:
        tell: called with each step whenever it changes, on this thread.

    Returns:
        The report; incomplete if ``interaction`` was cancelled on the way.
    """
    return _Examination(patient, interaction, tell).run()


class _Examination:
    """The state of one run."""

    def __init__(self, patient: Patient, interaction: Interaction, tell: Callable[[Step], None]) -> None:
        self._patient = patient
        self._profile = patient.profile
        self._person = Listening(interaction)
        self._when = time.time()
        self._board = Board(tell, interaction.cancelled,
                            lambda step: report.sentence_of(self._profile, step, self._when))
        self._skews: list[float] = []
        self._transport: Transport | None = None

    def run(self) -> Report:
        """All steps."""
        complete = True
        try:
            self._look()
        except CancelledByUserError:
            complete = False
            self._board.skip_rest("The examination was cancelled.")
        finally:
            self._hang_up()
        return report.make_report(self._profile, self._board.steps, self._when, complete)

    def _look(self) -> None:
        if self._profile.is_local:
            self._announce(_LOCAL_STEPS)
            self._transport = self._patient.connect(self._person, lambda what, stop: None)
            self._look_at_far_side(_LOCAL_STEPS)
            return
        stops, fault = self._planned()
        for name, title in (("name", f"Address of {stops[0].name}" if stops else "The way there"),
                            ("tcp", f"Connection to {stops[0].where}" if stops else "Connection"), ("proxy", "Proxy"),
                            ("provider", "Sign-in service"), ("sign_in", "Sign-in"),
                            ("certificate", "SSH certificate")):
            self._board.announce(name, title)
        way = Way(self._board, stops, self._person)
        self._announce(tuple(name for name, _ in _FAR_STEPS))
        open_road = self._look_at_network(stops, fault)
        signed_in = self._look_at_sign_in()
        if not (open_road and signed_in and self._connect(way)):
            self._board.skip_rest(_NOT_REACHED)
            return
        self._look_at_far_side(tuple(name for name, _ in _FAR_STEPS))

    def _announce(self, names: tuple[str, ...]) -> None:
        for name, title in _FAR_STEPS:
            if name in names:
                self._board.announce(name, title)

    def _planned(self) -> tuple[tuple[Stop, ...], BeamsideError | None]:
        if self._profile.needs_host:
            return (), UsageError(f"On which host {self._profile.label} lets you log in is not publicly known.",
                                  remedy="Ask the facility, and write the host into the site profile.")
        try:
            return plan(self._profile), None
        except UsageError as error:
            return (), error

    def _look_at_network(self, stops: tuple[Stop, ...], fault: BeamsideError | None) -> bool:
        """Whether the first server can be reached in some way."""
        board, cancelled = self._board, self._person.cancelled
        if fault is not None or not stops:
            board.settle("name", failed(fault) if fault is not None else skipped("There is no way to look at."))
            for name in ("tcp", "proxy"):
                board.settle(name, skipped("It is not known where to."))
            return False
        first = stops[0]
        if first.command:
            for name in ("name", "tcp", "proxy"):
                board.settle(name, network.gone_by_command(first))
            return True
        if network.goes_through_proxy(first):
            for name in ("name", "tcp"):
                board.settle(name, skipped("The proxy looks it up and connects to it."))
            found = board.run("proxy", lambda: network.look_at_proxy(first, None, self._person), _PERSON_S)
            return not found.kind
        name_found = board.run("name", lambda: network.look_at_name(first, cancelled), _NETWORK_S)
        direct = name_found
        if name_found.kind:
            board.settle("tcp", skipped("There is no address to connect to."))
        else:
            direct = board.run("tcp", lambda: network.look_at_addresses(first, cancelled), _NETWORK_S)
        proxy = board.run("proxy", lambda: network.look_at_proxy(first, direct, self._person), _PERSON_S)
        if direct.kind and network.has_fallback(first) and not proxy.kind:
            for name in ("name", "tcp"):     # the proxy makes up for it
                board.soften(name)
            return True
        return not direct.kind

    def _look_at_sign_in(self) -> bool:
        """Whether a login can be tried: with a certificate, if that is the only way in."""
        board, profile, session = self._board, self._profile, self._patient.session
        provider = board.run("provider", lambda: signing_in.look_at_provider(profile, self._person, self._skews),
                             _NETWORK_S)
        needed = set(profile.ssh.methods) <= {"certificate"} and profile.ssh.certificate_authority is not None
        if provider.kind:
            for name in ("sign_in", "certificate"):
                board.settle(name, skipped("The sign-in service cannot be used."))
            return not needed
        who = board.run("sign_in", lambda: signing_in.look_at_session(profile, session, self._person), _PERSON_S)
        if who.kind:
            board.settle("certificate", skipped("Nobody is signed in."))
            return not needed
        certificate = board.run("certificate",
                                lambda: signing_in.look_at_authority(profile, session, self._person), _PERSON_S)
        return not (certificate.kind and needed)

    def _connect(self, way: Way) -> bool:
        """Connect as the program does; each server's steps are settled on the way."""
        cancelled = self._person.cancelled
        way.begin()
        try:
            self._transport = self._patient.connect(self._person, way.watch)
            way.arrived(self._transport.user, str(getattr(self._transport, "login_method", "")))
        except BeamsideError as error:
            if cancelled.is_set():
                raise CancelledByUserError("The examination was cancelled.") from None
            way.fail(error)
            return False
        return True

    def _look_at_far_side(self, names: tuple[str, ...]) -> None:
        transport, profile = self._transport, self._profile
        assert transport is not None
        opened: list[ByteStream] = []
        trial = AgentTrial(transport, profile)
        looks: dict[str, tuple[Callable[[], Found], float]] = {
            "banner_noise": (lambda: far_side.look_at_noise(transport, opened), _COMMAND_S),
            "shell": (lambda: far_side.look_at_shell(transport), _COMMAND_S),
            "python": (lambda: far_side.look_at_pythons(transport, profile), _COMMAND_S * 2),
            "agent": (trial.look_at_agent, _AGENT_S),
            "workers": (trial.look_at_workers, _COMMAND_S * 2),
            "scheduler": (lambda: far_side.look_at_scheduler(transport, profile), _COMMAND_S),
            "data_roots": (lambda: far_side.look_at_roots(transport, profile), _COMMAND_S * 4),
            "clock": (lambda: far_side.look_at_clock(transport, self._skews), _COMMAND_S),
            "space": (lambda: far_side.look_at_space(transport, profile), _COMMAND_S)}
        failures: set[str] = set()
        try:
            for name in names:
                why = self._why_not(name, failures, transport)
                if why:
                    self._board.settle(name, skipped(why))
                    failures.add(name)
                    continue
                work, deadline_s = looks[name]
                abort = trial.close if name in ("agent", "workers") else transport.close
                if self._board.run(name, work, deadline_s, abort).kind:
                    failures.add(name)
                if name == "workers":
                    trial.close()
                    trial.tidy()
        finally:
            trial.close()
            trial.tidy()

    def _why_not(self, name: str, failures: set[str], transport: Transport) -> str:
        """Why a step is of no use now; empty: it is."""
        if not transport.alive:
            return "The connection was lost."
        if name == "agent" and self._profile.agent.run != "login":
            return "The agent runs in a job of the batch system here; the examination submits none."
        if name == "agent" and failures & {"shell", "python"}:
            return "There is nothing to run it with."
        if name == "workers" and "agent" in failures:
            return "There is no agent to ask."
        return ""

    def _hang_up(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
