"""The configuration files of the one-machine Slurm: pure text, nothing touched. Everything listens on loopback only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SlurmPorts:
    """Loopback ports; ``slurmd`` has one per node."""

    slurmctld: int
    slurmdbd: int
    mariadb: int
    slurmd: tuple[int, ...]


@dataclass(frozen=True)
class SlurmLayout:
    """Where everything is below ``root``."""

    root: Path

    @property
    def slurm_conf(self) -> Path:
        return self.root / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.root / "munge" / "socket"

    @property
    def database_socket(self) -> Path:
        return self.root / "mysql" / "socket"

    @property
    def prolog_fails(self) -> Path:
        """While this file exists, the prolog of every job fails."""
        return self.root / "etc" / "prolog-fails"

    @property
    def prolog(self) -> Path:
        return self.root / "etc" / "prolog"

    @property
    def gpus(self) -> Path:
        """A folder with a file per GPU that is pretended."""
        return self.root / "etc" / "gpus"

    def log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"


@dataclass(frozen=True)
class SlurmNature:
    """What sort of cluster it is.

    Attributes:
        nodes: their names; the first has the GPUs.
        cgroups: memory is limited by a cgroup (v1), so that a job that takes too much ends OUT_OF_MEMORY; else by
            sampling, and it ends FAILED 0:9.
        first_job: its number; jobs with the same, of two clusters on one machine, would have the same names in /tmp.
    """

    hostname: str
    memory_mb: int
    nodes: tuple[str, ...] = ("cn1",)
    cpus: int = 4
    gpus: int = 0
    accounting: bool = True
    min_job_age_s: int = 300
    cgroups: bool = False
    first_job: int = 1


def slurm_conf(layout: SlurmLayout, ports: SlurmPorts, nature: SlurmNature) -> str:
    """slurm.conf of a cluster with one slurmd per node, all on this host, without systemd, quick to react.

    ``proctrack/linuxproc`` finds processes through /proc. ``cred_expire`` is also how long a requeued job waits.
    """
    account = (f"""AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports.slurmdbd}
AccountingStoragePass={layout.munge_socket}
AccountingStorageEnforce=associations""" if nature.accounting else "AccountingStorageType=accounting_storage/none")
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={nature.hostname} NodeAddr=127.0.0.1 Port={port} CPUs={nature.cpus} "
        f"SocketsPerBoard=1 CoresPerSocket={nature.cpus} ThreadsPerCore=1 "
        f"RealMemory={nature.memory_mb // len(nature.nodes)} State=UNKNOWN"
        + (f" Gres=gpu:h100:{nature.gpus}" if nature.gpus and name == nature.nodes[0] else "")
        for name, port in zip(nature.nodes, ports.slurmd, strict=True))
    all_nodes = ",".join(nature.nodes)
    gpus = (f"PartitionName=gpu Nodes={nature.nodes[0]} MaxTime=02:00:00 DefaultTime=00:05:00 State=UP"
            if nature.gpus else "")
    return f"""ClusterName=beamside
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports.slurmctld}
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket},cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={layout.root}/slurmctld
SlurmdSpoolDir={layout.root}/slurmd.%n
SlurmctldPidFile={layout.root}/slurmctld/pid
SlurmdPidFile={layout.root}/slurmd.%n.pid
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin={'task/cgroup' if nature.cgroups else 'task/none'}
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams={'' if nature.cgroups else 'OverMemoryKill,'}NoShared
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=2,sched_min_interval=0
MinJobAge={nature.min_job_age_s}
FirstJobId={nature.first_job}
KillWait=5
SlurmctldTimeout=10
MessageTimeout=10
SlurmdTimeout=60
UnkillableStepTimeout=10
MaxArraySize=1001
DefMemPerCPU=500
RebootProgram=/bin/true
Prolog={layout.prolog}
{"GresTypes=gpu" if nature.gpus else ""}
{account}
{nodes}
PartitionName=debug Nodes={all_nodes} Default=YES MaxTime=01:00:00 DefaultTime=00:05:00 State=UP
PartitionName=long Nodes={all_nodes} MaxTime=7-00:00:00 DefaultTime=01:00:00 State=UP
PartitionName=closed Nodes={all_nodes} MaxTime=01:00:00 DefaultTime=00:05:00 State=DOWN
{gpus}
"""


def cgroup_conf(limits: bool) -> str:
    """slurmd 22.05 does not start without some cgroup plugin; without ``limits`` this one touches nothing."""
    return ("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"
            + ("ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n" if limits else ""))


def gres_conf(layout: SlurmLayout, nature: SlurmNature) -> str:
    """gres.conf: plain files are GPUs enough to be counted and queued for."""
    return (f"NodeName={nature.nodes[0]} Name=gpu Type=h100 File={layout.gpus}/gpu[0-{nature.gpus - 1}]\n"
            if nature.gpus else "")


def prolog(layout: SlurmLayout) -> str:
    """The script that slurmd runs before a job, as root."""
    return f"#!/bin/sh\n[ ! -e {layout.prolog_fails} ]\n"


def slurmdbd_conf(layout: SlurmLayout, ports: SlurmPorts, password: str) -> str:
    """slurmdbd.conf; slurmdbd looks for it beside slurm.conf and wants it 0600 and its own."""
    return f"""AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.slurmdbd}
SlurmUser=slurm
PidFile={layout.root}/slurmctld/dbd.pid
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports.mariadb}
StorageUser=slurm
StoragePass={password}
StorageLoc=accounting
"""
