"""What the administrators of the one-machine Slurm do to it, and what happens to it: for tests of what is then told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.peers.one_machine import wait_for
from tests.peers.slurm_daemons import Daemons

if TYPE_CHECKING:
    from tests.peers.slurm import SlurmFacility

_PATIENCE_S = 120.0


class SlurmAdmin:
    """Verbs of root at a facility; each returns when Slurm has taken it."""

    def __init__(self, site: SlurmFacility, daemons: Daemons) -> None:
        self._site = site
        self._daemons = daemons

    def control(self, *words: str) -> str:
        """``scontrol WORD …`` as root.

        Raises:
            AssertionError: it refused.
        """
        done = self._site.run("scontrol", *words)
        assert done.returncode == 0, f"scontrol {' '.join(words)}: {done.stderr}"
        return done.stdout

    def node_states(self) -> dict[str, str]:
        """``sinfo``'s compact state of every node (``idle``, ``mix``, ``drain``, ``down*`` …)."""
        lines = self._site.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%N %t").stdout.splitlines()
        return dict(line.split() for line in lines)

    def drain(self, node: str, reason: str) -> None:
        self.control("update", f"nodename={node}", "state=drain", f"reason={reason}")

    def resume(self, node: str) -> None:
        """Back into service; what came back by itself is fine, too."""
        def serves() -> bool:
            if self.node_states()[node] in ("idle", "mix", "alloc"):
                return True
            self._site.run("scontrol", "update", f"nodename={node}", "state=resume")     # refused if it came meanwhile
            return False
        self._wait(f"node {node}", serves)

    def lose_node(self, node: str) -> None:
        """The node's power fails: its slurmd, the steps under it and what they run end without a word. The site's
        monitoring tells Slurm, which would find out by itself after a minute of silence.
        """
        self._daemons.kill(f"slurmd.{node}")
        self._daemons.end_steps(node)
        self.control("update", f"nodename={node}", "state=down", "reason=its power failed")

    def bring_node_back(self, node: str) -> None:
        self._daemons.start_again(f"slurmd.{node}")
        self.resume(node)

    @contextmanager
    def controller_away(self) -> Iterator[None]:
        """slurmctld stops; afterwards it is started again and answers. Meanwhile commands soon give it up."""
        self._daemons.stop("slurmctld")
        self._commands_give_up_after(2)
        try:
            yield
        finally:
            self._commands_give_up_after(10)
            self._daemons.start_again("slurmctld")
            self._wait("slurmctld", lambda: "is UP" in self._site.run("scontrol", "ping").stdout)

    @contextmanager
    def accounting_away(self) -> Iterator[None]:
        """slurmdbd stops; afterwards it is started again and answers."""
        self._daemons.stop("slurmdbd")
        try:
            yield
        finally:
            self._daemons.start_again("slurmdbd")
            self._wait("slurmdbd", lambda: self._site.run("sacctmgr", "-n", "show", "cluster").returncode == 0)

    @contextmanager
    def failing_prolog(self) -> Iterator[None]:
        """Meanwhile no job gets started: the site's prolog ends with 1 on every node."""
        mark = self._site.layout.prolog_fails
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()

    def job_state(self, scheduler_id: str) -> str:
        """``squeue``'s state of a job; ``""``: it is not known."""
        return self._site.run("squeue", "-h", "-t", "all", "-j", f"{scheduler_id},{scheduler_id}", "-o",
                              "%T").stdout.strip()

    def _commands_give_up_after(self, seconds: int) -> None:
        """How long commands try to reach slurmctld: they read slurm.conf each time, daemons only at their start."""
        file = self._site.slurm_conf
        text, count = re.subn(r"(?m)^MessageTimeout=.*$", f"MessageTimeout={seconds}", file.read_text())
        assert count == 1
        file.write_text(text)

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        try:
            wait_for(what, _PATIENCE_S, condition)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self._site.logs()}") from None

