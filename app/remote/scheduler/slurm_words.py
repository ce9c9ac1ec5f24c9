"""Slurm's states, reasons and refusals in plain words. Pure: no I/O, any thread.

Reasons were collected from ``slurm.h`` of 22.05 to 25.05; where a job can never start, the words begin with
"never starts: ", which the client acts on.
"""

from __future__ import annotations

import re

from app.errors import BeamsideError
from app.model.jobs import JobState, Resources
from app.remote.scheduler.fields import plain
from app.remote.scheduler.refusals import Refusals, asked_words
from app.remote.scheduler.states import BY_SYSTEM, NOT_REACHED, JobRow, exit_words

_UNREACHABLE = re.compile(r"Unable to contact slurm controller|Socket timed out|Connection (refused|timed out)|"
                          r"Zero Bytes were transmitted|slurm_persist_conn_open|temporarily unable|"
                          r"Communication connection failure|Unable to (resolve|establish)|"
                          r"Protocol authentication error|munge", re.I)
_MISSING = re.compile(r"(sbatch|squeue|sacct|scancel|scontrol|sinfo)['’]?: (command not found|not found|No such file)")
_REFUSALS = (
    (r"invalid partition|Invalid partition name", "{Queue} does not exist at this site.",
     "Choose one of those the site offers."),
    (r"Invalid account|invalid account", "{Account} may not be used with {queue}.",
     "Choose another account, or ask the facility which one is yours."),
    (r"group not permitted to use this partition", "You may not use {queue}.",
     "Choose another partition, or ask the facility to let you use it."),
    (r"Invalid qos", "The quality of service of {queue} may not be used with your account.",
     "Choose another partition or account."),
    (r"Required partition not available|partition.*(inactive|down)|Requested partition configuration not available",
     "{Queue} does not take jobs of this size or is not in service now.",
     "Choose another partition, or ask for less."),
    (r"Invalid generic resource|gres specification", "{Queue} does not have the GPUs that the job asks for.",
     "Ask for fewer GPUs, or choose another partition."),
    (r"Invalid job array", "The site does not allow so many tasks in one job.", "Divide the job into fewer tasks."),
    (r"time limit|--time specification", "{Time} is more than the site allows.",
     "Ask for less time or choose another partition."),
    (r"Memory specification", "No node of {queue} has {memory} that the job asks for.",
     "Ask for less memory or choose another partition."),
    (r"node configuration is not available|More processors requested|CPU count per node",
     "No node of {queue} has {needs}.",
     "Ask for less, or choose another partition."),
    (r"MaxSubmitJob|job submit limit", "You have as many jobs in the queue as this site allows.",
     "Wait until some of them have ended."),
    (r"QOSMax|QOSMin|AssocMax|AssocGrp|QOSGrp|violates accounting/QOS policy",
     "The job asks for more than the account's limits at this site allow.",
     "Ask for less, or wait until other jobs of yours have ended."),
    (r"User not found on host|invalid user id|no associations?", "Slurm does not know your account at this site.",
     "Ask the facility to allow your account to use the batch system."),
    (r"write a log into this folder",
     "Slurm cannot write a log into a folder whose name has a backslash, %j or the like.",
     "Use input files from another folder, or another place for results."),
    (r"Job dependency problem", "The job that this one was to wait for does not exist any more.",
     "Submit it without waiting, or submit the other job again."),
)
REFUSALS = Refusals("Slurm", _UNREACHABLE, _MISSING, _REFUSALS)
_STATES = {"PENDING": JobState.QUEUED, "REQUEUED": JobState.QUEUED, "REQUEUE_FED": JobState.QUEUED,
           "REQUEUE_HOLD": JobState.HELD, "SPECIAL_EXIT": JobState.HELD, "RESV_DEL_HOLD": JobState.HELD,
           "EXPEDITING": JobState.QUEUED,
           "CONFIGURING": JobState.RUNNING, "RUNNING": JobState.RUNNING, "COMPLETING": JobState.RUNNING,
           "SUSPENDED": JobState.RUNNING, "STOPPED": JobState.RUNNING, "RESIZING": JobState.RUNNING,
           "SIGNALING": JobState.RUNNING, "STAGE_OUT": JobState.RUNNING, "POWER_UP_NODE": JobState.RUNNING,
           "UPDATE_DB": JobState.RUNNING,
           "COMPLETED": JobState.COMPLETED,
           "CANCELLED": JobState.CANCELLED, "REVOKED": JobState.CANCELLED,
           "FAILED": JobState.FAILED, "TIMEOUT": JobState.FAILED, "DEADLINE": JobState.FAILED,
           "OUT_OF_MEMORY": JobState.FAILED, "NODE_FAIL": JobState.FAILED, "BOOT_FAIL": JobState.FAILED,
           "PREEMPTED": JobState.FAILED, "LAUNCH_FAILED": JobState.FAILED, "RECONFIG_FAIL": JobState.FAILED}
# What the history keeps of a job's waiting says nothing of its end.
_WAITED = frozenset(("JobHeldUser", "JobHeldAdmin", "Priority", "Resources", "Dependency", "BeginTime"))
_STATE_WORDS = {"TIMEOUT": "the time limit was reached", "DEADLINE": "its deadline passed",
                "OUT_OF_MEMORY": "the memory limit was exceeded", "NODE_FAIL": "a node failed",
                "BOOT_FAIL": "a node did not start", "PREEMPTED": "it was preempted by another job",
                "LAUNCH_FAILED": "it could not be started on its node",
                "RECONFIG_FAIL": "its node could not be prepared", "REVOKED": "it runs on another cluster",
                "COMPLETING": "ending", "STAGE_OUT": "its results are being copied",
                "CONFIGURING": "its nodes are being prepared", "POWER_UP_NODE": "its nodes are being switched on",
                "SUSPENDED": "suspended", "STOPPED": "suspended",
                "REQUEUED": "put back into the queue", "REQUEUE_FED": "put back into the queue",
                "REQUEUE_HOLD": "put back into the queue and held",
                "RESV_DEL_HOLD": "held, since its reservation was deleted", "SPECIAL_EXIT": "held after its end"}
_OWN_LIMIT = "you have as much in use as you may"
_REASONS = {
    "Priority": "other jobs come first", "Resources": "waiting for free nodes",
    "Dependency": "waiting for another job",
    "DependencyNeverSatisfied": "never starts: the job it waits for did not succeed",
    "JobHeldUser": "held by you", "JobHeldAdmin": "held by the facility",
    "job_requeued_in_held_state": "put back into the queue and held",
    "BeginTime": "it may start later only", "DeadLine": "never starts: its deadline cannot be kept",
    "Licenses": "waiting for a licence", "FedJobLock": "clusters are deciding where it runs",
    "PartitionTimeLimit": "never starts: its time limit is above the partition's",
    "PartitionNodeLimit": "never starts: it asks for more nodes than the partition allows",
    "PartitionDown": "the partition is not in service", "PartitionInactive": "the partition is not in service",
    "PartitionConfig": "never starts: the partition has no such nodes",
    "BadConstraints": "no node is like what it asks for", "ReqNodeNotAvail": "the nodes it needs are not in service",
    "NodeDown": "a node is not in service", "NodesDown": "the nodes it needs are not in service",
    "Reservation": "waiting for its reservation",
    "ReservationDeleted": "never starts: its reservation was deleted",
    "InvalidReservation": "never starts: its reservation does not exist",
    "FrontEndDown": "the batch system's front end is not in service", "Cleaning": "being put back into the queue",
    "Prolog": "its node is being prepared", "Preempted": "it was preempted by another job",
    "AccountNotAllowed": "never starts: the account may not use this partition",
    "AccountingPolicy": "the account's limits are reached",
    "InvalidAccount": "never starts: the account is not valid",
    "InvalidQOS": "never starts: the quality of service is not valid",
    "QOSNotAllowed": "never starts: the quality of service may not be used with this partition or account",
    "QOSJobLimit": _OWN_LIMIT, "QOSResourceLimit": _OWN_LIMIT, "QOSTimeLimit": _OWN_LIMIT,
    "QOSUsageThreshold": "the account has used up its share", "AssociationJobLimit": _OWN_LIMIT,
    "AssociationResourceLimit": _OWN_LIMIT, "AssociationTimeLimit": _OWN_LIMIT,
    "JobArrayTaskLimit": "as many tasks of the array run as may",
    "MaxBatchJobs": "as many jobs run as the site allows", "NodeLimit": "as many nodes are in use as may be",
    "BurstBufferResources": "waiting for fast storage", "BurstBufferStageIn": "its data are being copied",
    "BurstBufferOperation": "fast storage could not be prepared", "PowerNotAvail": "waiting for electric power",
    "PowerReserved": "waiting for electric power", "MaxPowerReserved": "waiting for electric power",
    "JobLaunchFailure": "it could not be started on its node",
    "ReservationLimit": "its reservation is in full use",
    "OutOfMemory": "the memory limit was exceeded", "TimeLimit": "the time limit was reached",
    "InactiveLimit": "it was inactive for too long",
    "NodeFailure": "a node failed", "SystemFailure": "the batch system failed",
    "NonZeroExitCode": "", "None": "", "": "",
}
_SENTENCES = (("launch failed", "it could not be started on its node"),
              ("launch_failed", "it could not be started on its node"),
              ("Nodes required for job are", "the nodes it needs are not in service or reserved"),
              ("requeued in held", "put back into the queue and held"))
# Limits of accounts and qualities of service come in families: <where><whose><what>[PerJob …][Limit].
_LIMIT = re.compile(r"(?:Assoc|QOS)(Grp|Max|Min)(\w*)")
_LIMITED = (("SubmitJob", "jobs in the queue"), ("Job", "running jobs"), ("Cpu", "CPUs"), ("CPU", "CPUs"),
            ("Mem", "memory"), ("GRES", "GPUs"), ("Gres", "GPUs"), ("Node", "nodes"), ("Billing", "computing time"),
            ("License", "licences"), ("BB", "fast storage"), ("Energy", "energy"))
_HELD = re.compile(r"JobHeld|held", re.I)


def state(text: str, reason: str) -> JobState:
    """What ``text`` (``CANCELLED by 1001``, ``COMPLETED+``) means; a queued job with a hold as reason is held."""
    found = _STATES.get(_word(text), JobState.UNKNOWN)
    return JobState.HELD if found is JobState.QUEUED and _HELD.search(reason) else found


def reason_words(text: str, reason: str, exit_code: int | None, signal: int | None, *, ours: bool = False) -> str:
    """Why a job is in its state, in words; Slurm's own word in brackets where it helps to ask about it.

    Args:
        ours: the job was submitted by this program, which never asks for a later start.
    """
    word = _word(text)
    if word in _STATE_WORDS:
        return _STATE_WORDS[word]
    if word == "CANCELLED":
        return _cancelled(text, reason, exit_code is not None)
    if word == "FAILED":
        if signal == 53:
            return "its log could not be written, or its folder not entered"
        raised = re.match(r"RaisedSignal:([0-9]{1,2})\b", reason)
        if raised and not signal:
            return exit_words(None, int(raised[1]))
        if signal or (exit_code is None and reason == "JobLaunchFailure"):
            return exit_words(None, signal)     # Slurm calls a script that was killed a launch failure, too
        last = reason.partition(",")[0]
        return ("" if last in _WAITED else _REASONS.get(last, "")) or exit_words(exit_code, signal)
    if word in ("COMPLETED", "RUNNING", "RESIZING", "SIGNALING", "UPDATE_DB"):
        return ""
    if word not in _STATES:
        return f"Slurm calls its state {plain(word, 40)}"
    key = re.split(r"[,(]", reason.strip("()"))[0].strip()
    words = _REASONS.get(key)
    if words is None:
        words = next((w for text, w in _SENTENCES if text in reason), None) or _limit_words(key)
    if ours and key == "BeginTime":
        words = "put back into the queue, and starts a little later"
    if words is None:
        return plain(reason)
    return f"{words} ({plain(reason.strip('()'))})" if words else ""


def _cancelled(text: str, reason: str, past: bool) -> str:
    """``past``: in the history, which keeps the last reason to wait and names who cancelled, unless it was Slurm.

    Slurm cancels what can never start; a job whose predecessor had failed before it was submitted never waited.
    """
    by_slurm = past and text == "CANCELLED"
    if reason == "DependencyNeverSatisfied" or (by_slurm and reason == "Dependency"):
        return NOT_REACHED
    if text.split()[1:3] == ["by", "0"]:
        return "cancelled by the facility"
    return BY_SYSTEM if by_slurm else "cancelled"


def _limit_words(key: str) -> str | None:
    match = _LIMIT.fullmatch(key)
    if not match:
        return None
    kind, what = match.groups()
    name = what.replace("PerJob", "")
    thing = next((words for word, words in _LIMITED if word in name), "resources")
    much = "much" if thing in ("memory", "computing time", "fast storage", "energy") else "many"
    if kind == "Min":
        return "never starts: it asks for less than the least that is allowed"
    if "Minutes" in what:
        return ("your account has used up its CPU time" if kind == "Grp"
                else "never starts: it asks for more CPU time than one job may have")
    if "Wall" in what:
        return ("your account has used up its running time" if kind == "Grp"
                else "never starts: its time limit is above the one of your account")
    if kind == "Max" and "PerJob" in what:
        return f"never starts: it asks for more {thing} than one job may have"
    return f"as {much} {thing} as {'your account' if kind == 'Grp' else 'you'} may have"


def said(errors: str) -> str:
    """The sentence in what a Slurm command wrote, without its prefixes."""
    lines = [re.sub(r"^\w+: (error|fatal): ", "", line).strip() for line in errors.splitlines()
             if re.match(r"^s\w+: (error|fatal): ", line)]
    text = lines[-1] if lines else next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    return plain(re.sub(r"^(Batch job submission failed|allocation failure): ", "", text))


def refusal(errors: str, resources: Resources) -> BeamsideError:
    """The error for an ``sbatch`` that failed."""
    return REFUSALS.refusal(errors, asked_words(resources, "partition", "account"), said(errors))


def end_told_by_log(log_tail: str) -> JobRow | None:
    """What Slurm itself wrote at the end of a job's log, for sites that keep no history."""
    for line in reversed(log_tail.splitlines()):
        if re.search(r"^(slurmstepd|slurmd)[^ ]*: error: ", line):
            if "DUE TO TIME LIMIT" in line:
                return JobRow("", JobState.FAILED, reason="the time limit was reached")
            if re.search(r"memory limit|oom[-_ ]kill|out of memory", line, re.I):
                return JobRow("", JobState.FAILED, reason="the memory limit was exceeded")
            if "DUE TO NODE FAILURE" in line:
                return JobRow("", JobState.FAILED, reason="a node failed")
            if "DUE TO PREEMPTION" in line:
                return JobRow("", JobState.FAILED, reason="it was preempted by another job")
            if re.search(r"\*\*\* JOB \d+ .*CANCELLED", line):
                return JobRow("", JobState.CANCELLED, reason="cancelled")
    return None


def _word(text: str) -> str:
    return (text.split() or [""])[0].rstrip("+")
