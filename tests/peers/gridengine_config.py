"""The configuration of the one-machine Grid Engine: pure text, nothing touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GridLayout:
    """Where everything is below ``root``."""

    root: Path

    @property
    def sge_root(self) -> Path:
        return self.root / "ge"

    @property
    def common(self) -> Path:
        return self.sge_root / "test" / "common"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    def log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"

    @property
    def environment(self) -> dict[str, str]:
        """What every command, daemon and job of this Grid Engine has to know. The ports are its namespace's own."""
        return {"SGE_ROOT": str(self.sge_root), "SGE_CELL": "test", "SGE_QMASTER_PORT": "6444",
                "SGE_EXECD_PORT": "6445", "SGE_CLUSTER_NAME": "beamside"}


def changed(text: str, values: Mapping[str, str]) -> str:
    """``text`` of lines ``key value`` with other values; continued lines (a backslash) are replaced whole."""
    text = text.replace("\\\n", " ")
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^({re.escape(key)}\s+).*$", lambda match, value=value: match[1] + value, text)
        if not count:
            raise ValueError(f"{key} is no line of the configuration")
    return text


def global_values(layout: GridLayout, first_gid: int) -> dict[str, str]:
    """Of ``qconf -sconf``: fast reports, an accounting file at once, and jobs that are found by an own group id."""
    return {"execd_spool_dir": str(layout.spool / "execd"), "gid_range": f"{first_gid}-{first_gid + 99}",
            "finished_jobs": "100", "min_uid": "0", "load_report_time": "00:00:01",
            "max_unheard": "00:00:05", "reschedule_unknown": "00:00:00", "shell_start_mode": "unix_behavior",
            "execd_params": "ENABLE_ADDGRP_KILL=true",
            "reporting_params": ("accounting=true reporting=false flush_time=00:00:15 "
                                 "accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00")}


SCHEDULER_VALUES = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1",
                    "schedd_job_info": "true"}


def queue_values(layout: GridLayout, name: str, host: str, slots: int, limit: str) -> dict[str, str]:
    """Of ``qconf -sq``: a queue of this machine's with a time limit (``h:mm:ss`` or ``INFINITY``)."""
    return {"qname": name, "hostlist": host, "pe_list": "smp", "slots": str(slots), "shell": "/bin/bash",
            "load_thresholds": "NONE",     # a busy test machine takes jobs
            "notify": "00:00:02", "h_rt": limit, "tmpdir": str(layout.root / "tmp")}


def execution_host(host: str, slots: int, memory: str, gpus: int) -> str:
    return (f"hostname {host}\nload_scaling NONE\ncomplex_values slots={slots},h_vmem={memory},gpu={gpus}\n"
            "user_lists NONE\nxuser_lists NONE\nprojects NONE\nxprojects NONE\nusage_scaling NONE\n"
            "report_variables NONE\n")


PARALLEL_ENVIRONMENT = """pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
PROJECT = "name proposals\noticket 0\nfshare 0\nacl NONE\nxacl NONE\n"
