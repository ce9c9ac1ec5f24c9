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

    def log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"


def slurm_conf(layout: SlurmLayout, ports: SlurmPorts, *, hostname: str, memory_mb: int, cpus: int, accounting: bool,
               min_job_age_s: int) -> str:
    """slurm.conf of a cluster with one slurmd per node, all on this host, without cgroups, quick to react.

    ``proctrack/linuxproc`` and ``task/none`` need neither systemd nor cgroups; memory is enforced by sampling, so a job
    that takes too much ends FAILED 0:9.
    """
    account = (f"""AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports.slurmdbd}
AccountingStoragePass={layout.munge_socket}
AccountingStorageEnforce=associations""" if accounting else "AccountingStorageType=accounting_storage/none")
    nodes = "\n".join(
        f"NodeName=cn{i} NodeHostname={hostname} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} SocketsPerBoard=1 "
        f"CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb // len(ports.slurmd)} State=UNKNOWN"
        for i, port in enumerate(ports.slurmd, 1))
    all_nodes = f"cn[1-{len(ports.slurmd)}]"
    return f"""ClusterName=beamside
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports.slurmctld}
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={layout.root}/slurmctld
SlurmdSpoolDir={layout.root}/slurmd.%n
SlurmctldPidFile={layout.root}/slurmctld/pid
SlurmdPidFile={layout.root}/slurmd.%n.pid
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,NoShared
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=2,sched_min_interval=0,defer_batch
MinJobAge={min_job_age_s}
KillWait=2
SlurmctldTimeout=10
SlurmdTimeout=20
UnkillableStepTimeout=10
MaxArraySize=1001
DefMemPerCPU=500
RebootProgram=/bin/true
{account}
{nodes}
PartitionName=debug Nodes={all_nodes} Default=YES MaxTime=01:00:00 DefaultTime=00:05:00 State=UP
PartitionName=long Nodes={all_nodes} MaxTime=7-00:00:00 DefaultTime=01:00:00 State=UP
PartitionName=closed Nodes={all_nodes} MaxTime=01:00:00 DefaultTime=00:05:00 State=DOWN
"""


def cgroup_conf() -> str:
    """slurmd 22.05 does not start without some cgroup plugin; this one touches nothing until it is used."""
    return "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"


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
