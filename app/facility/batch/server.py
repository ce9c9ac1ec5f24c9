"""Answers the batch commands over a socket only this user can open. The facility's asyncio thread."""

from __future__ import annotations

import asyncio
import getpass
import hmac
import json
import logging
import os
import secrets
import struct
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.facility.batch.accounts import sacctmgr
from app.facility.batch.arguments import CommandRefusedError
from app.facility.batch.cluster import NODE, Cluster
from app.facility.batch.control import scancel, scontrol
from app.facility.batch.forecast import free_at
from app.facility.batch.history import sacct
from app.facility.batch.listing import sinfo, squeue
from app.facility.batch.scheduler import Scheduler, dependency_is_valid
from app.facility.batch.submission import InputNeededError, failed, read_submission
from app.facility.batch.times import stamp
from app.facility.options import Options
from app.facility.persons import LOGIN_NAME
from app.facility.state import StateFolder, write_private

log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 23
_VERSION = "slurm 22.05 (Beamside demo facility)"


@dataclass(frozen=True)
class Answer:
    """What a command prints and returns."""

    stdout: str = ""
    stderr: str = ""
    rc: int = 0
    wants_input: bool = False


class BatchServer:
    """The batch system with its socket."""

    def __init__(self, state: StateFolder, options: Options, environment: Mapping[str, str]) -> None:
        self._state = state
        self._known_users = (LOGIN_NAME, getpass.getuser(), str(_uid()))
        self._cluster = Cluster(options.slots, options.memory_mb, options.jobs, options.accounting, LOGIN_NAME, _uid(),
                                options.minute_s, options.min_job_age_s)
        self._secret = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        assert self._scheduler is not None
        return self._scheduler

    async def start(self) -> None:
        """Read what was before, listen, start what waits."""
        self._scheduler = Scheduler(self._state.batch, self._cluster)
        if hasattr(asyncio, "start_unix_server"):
            path = self._state.socket_path()
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, path)
            os.chmod(path, 0o600)
            address: dict[str, Any] = {"path": str(path)}
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            address = {"port": self._server.sockets[0].getsockname()[1]}
        write_private(self._state.batch / "address", json.dumps({**address, "secret": self._secret}))
        self._scheduler.schedule()

    async def stop(self) -> None:
        """Stop answering, end what runs."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._scheduler is not None:
            await self._scheduler.stop()

    async def answer(self, command: str, argv: list[str], stdin: str | None, cwd: str,
                     environment: Mapping[str, str]) -> Answer:
        """Run one command."""
        if argv in (["--version"], ["-V"]):
            return Answer(_VERSION + "\n")
        time_format = environment.get("SLURM_TIME_FORMAT", "")
        records, cluster, users = self.scheduler.records, self._cluster, self._known_users
        try:
            match command:
                case "sbatch":
                    return await self._sbatch(argv, stdin, cwd, environment)
                case "squeue":
                    return Answer(squeue(argv, records, cluster, users, time_format=time_format))
                case "sacct":
                    return Answer(sacct(argv, records, cluster, users, time_format=time_format))
                case "scancel":
                    return Answer(stderr=scancel(argv, self.scheduler, users))
                case "sinfo":
                    return Answer(sinfo(argv, records, cluster))
                case "scontrol":
                    return Answer(scontrol(argv, self.scheduler))
                case "sacctmgr":
                    return Answer(sacctmgr(argv, cluster, users))
        except InputNeededError:
            return Answer(wants_input=True)
        except CommandRefusedError as refusal:
            return Answer(stderr=f"{refusal}\n", rc=refusal.rc)
        return Answer(stderr=f"{command}: command not found\n", rc=127)

    async def _sbatch(self, argv: list[str], stdin: str | None, cwd: str, environment: Mapping[str, str]) -> Answer:
        wanted = read_submission(argv, stdin, cwd, environment, self._cluster)
        if not dependency_is_valid(wanted.dependency):
            raise CommandRefusedError(f"{failed(wanted.test_only)}Job dependency problem")
        if wanted.test_only:
            start = stamp(free_at(self.scheduler.records, self._cluster, wanted.cpus, time.time()), "",
                          environment.get("SLURM_TIME_FORMAT", ""))
            return Answer(stderr=f"sbatch: Job {self.scheduler.next_id()} to start at {start} using "
                                 f"{wanted.cpus} processors on nodes {NODE} in partition {wanted.partition}\n")
        number = self.scheduler.submit(wanted)
        text = "" if wanted.quiet and not wanted.parsable else (
            f"{number}\n" if wanted.parsable else f"Submitted batch job {number}\n")
        return Answer(text, rc=await self.scheduler.ended(number) if wanted.wait else 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack(">I", await asyncio.wait_for(reader.readexactly(4), 30))
            if size > _MOST_BYTES:
                return
            request = json.loads(await asyncio.wait_for(reader.readexactly(size), 30))
            if not hmac.compare_digest(str(request.get("secret", "")).encode(), self._secret.encode()):
                return
            answer = await self.answer(request["command"], request["argv"], request.get("stdin"), request["cwd"],
                                       request["env"])
            body = json.dumps(asdict(answer)).encode()
            writer.write(struct.pack(">I", len(body)) + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError, ValueError, KeyError) as error:
            log.debug("a batch command went away: %s", error)
        finally:
            writer.close()


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 1000
