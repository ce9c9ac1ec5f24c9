"""``sites``, ``sign-in`` and ``sign-out``."""

from __future__ import annotations

import argparse
import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

from app.commands.context import Context
from app.model.site import SiteProfile


def run_sites(arguments: argparse.Namespace, context: Context) -> int:
    sites, output = context.sites, context.output
    if arguments.action == "add":
        profile = sites.add(Path(arguments.what))
        output.result({"added": profile.name}, f"Added {profile.name}.")
    elif arguments.action == "remove":
        sites.remove(arguments.what)
        output.result({"removed": arguments.what}, f"Removed {arguments.what}.")
    elif arguments.action == "show":
        profile = sites.profile(arguments.what)
        value = profile_json(profile)
        output.result(value, _indented(value))
    else:
        profiles = [sites.profile(name) for name in sites.names()]
        for fault in sites.faults:
            output.event("profile_fault", fault.as_json(), fault.summary)
        output.result({"sites": [summary_json(p, sites.file(p.name)) for p in profiles]},
                      "\n".join(summary_text(p) for p in profiles))
    return 0


def run_sign_in(arguments: argparse.Namespace, context: Context) -> int:
    identity = context.sites.sign_in(arguments.site, context.interaction)
    value = {"site": arguments.site, "issuer": identity.issuer, "subject": identity.subject, "name": identity.name,
             "email": identity.email, "expires_at": identity.expires_at, "kept": identity.kept}
    kept = "" if identity.kept else " No keyring was found, so this sign-in lasts for this command only."
    context.output.result(value, f"Signed in at {arguments.site} as {identity.label}.{kept}")
    return 0


def run_sign_out(arguments: argparse.Namespace, context: Context) -> int:
    context.sites.sign_out(arguments.site)
    context.output.result({"site": arguments.site, "signed_out": True}, f"Signed out of {arguments.site}.")
    return 0


def summary_text(profile: SiteProfile) -> str:
    where = "" if profile.is_local else f"  ({profile.ssh.host}:{profile.ssh.port})"
    return f"{profile.name:<12} {profile.title}{where}"


def summary_json(profile: SiteProfile, file: Path | None) -> dict[str, Any]:
    return {"name": profile.name, "title": profile.title, "verified": profile.verified, "host": profile.ssh.host,
            "port": profile.ssh.port if profile.ssh.host else None, "batch": profile.batch.system,
            "file": str(file) if file else None}


def profile_json(value: Any) -> Any:
    """A profile as nested JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: profile_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [profile_json(v) for v in value]
    return value


def _indented(value: Any, depth: int = 0) -> str:
    lines = []
    for key, item in value.items():
        if isinstance(item, dict):
            lines += [f"{'  ' * depth}{key}:", _indented(item, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {'' if item is None else item}")
    return "\n".join(line for line in lines if line)
