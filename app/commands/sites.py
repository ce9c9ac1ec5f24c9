"""``sites``, ``sign-in`` and ``sign-out``."""

from __future__ import annotations

import argparse
import dataclasses
import time
from enum import Enum
from pathlib import Path
from typing import Any

from app.commands.context import Context
from app.commands.pages import open_page
from app.model.site import SiteProfile
from app.model.times import clock


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
    if arguments.way:
        context.interaction.way = arguments.way
    identity = context.sites.sign_in(arguments.site, context.interaction)
    value = {"site": arguments.site, "issuer": identity.issuer, "subject": identity.subject, "name": identity.name,
             "email": identity.email, "expires_at": identity.expires_at, "kept": identity.kept}
    until = "" if identity.expires_at is None else f" until {clock(identity.expires_at, time.time())}"
    kept = "" if identity.kept else " No keyring was found, so this sign-in lasts for this command only."
    context.output.result(value, f"Signed in at {arguments.site} as {identity.label}{until}.{kept}")
    return 0


def run_sign_out(arguments: argparse.Namespace, context: Context) -> int:
    sites = context.sites
    done = (sites.sign_out_everywhere if arguments.everywhere else sites.end_sign_in)(arguments.site)
    value = {"site": arguments.site, "signed_out": True, "sites": list(done.sites), "revoked": done.revoked,
             "page": done.page, "certificates": list(done.certificates)}
    others = [name for name in done.sites if name != arguments.site]
    text = f"Signed out of {', '.join([arguments.site, *others])}."
    if not done.revoked:
        text += " The sign-in service did not confirm it; the sign-in is forgotten on this computer."
    text += "".join(f" Your SSH certificates stay valid until they end: {why}" for why in done.certificates)
    if done.page:
        opened = open_page(done.page)
        text += (" To end its session in the browser too, answer the page that " +
                 ("was opened:" if opened else "is at") + f"\n\n    {done.page}\n")
    context.output.result(value, text)
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
