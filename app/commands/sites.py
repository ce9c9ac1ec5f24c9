"""``sites``, ``sign-in`` and ``sign-out``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Any

from app.commands.context import Context
from app.commands.output import Output
from app.commands.pages import open_page
from app.errors import CancelledByUserError, DataError, UsageError
from app.model.site import SiteProfile
from app.model.site_facts import SiteFact, facts_of
from app.model.times import clock
from app.remote.profile_text import commands_of, exported_text
from app.remote.profile_trust import trusts_of
from app.remote.profiles import faults_in, parse_profile
from app.remote.site_catalogue import KnownSite, read_text


def run_sites(arguments: argparse.Namespace, context: Context) -> int:
    sites, output = context.sites, context.output
    if arguments.action == "add":
        file = Path(arguments.what)
        text = read_text(file)      # once: what was looked through is what is taken
        _check(text, file.name, output)
        profile = parse_profile(text, file.name)
        _look_through(profile, context)
        sites.catalogue.save(text, file.name)
        output.result({"added": profile.name}, f"Added {profile.name}.")
    elif arguments.action == "export":
        _export(sites.profile(arguments.what), arguments.output, output)
    elif arguments.action == "remove":
        sites.remove(arguments.what)
        output.result({"removed": arguments.what}, f"Removed {arguments.what}.")
    elif arguments.action == "clean":
        transport = sites.transport(arguments.what, context.interaction)
        try:
            removed = sites.remove_private_python(arguments.what, transport)
        finally:
            transport.close()
        output.result({"cleaned": arguments.what, "removed": removed},
                      f"Removed the private Python at {arguments.what}." if removed else
                      f"There is no private Python at {arguments.what}.")
    elif arguments.action == "show":
        profile = sites.catalogue.site(arguments.what).profile
        facts = facts_of(profile)
        value = profile_json(profile)
        value["fields"] = {fact.key: {"value": fact.value, "source": fact.source, "state": fact.state}
                           for fact in facts}
        output.result(value, _facts_text(profile, facts))
    else:
        known = [sites.catalogue.site(name) for name in sites.names()]
        for fault in sites.faults:
            output.event("profile_fault", fault.as_json(), fault.summary)
        output.result({"sites": [summary_json(site) for site in known]}, "\n".join(map(summary_text, known)))
    return 0


def _check(text: str, name: str, output: Output) -> None:
    """Tell all that is wrong with a profile, so that it is mended once.

    Raises:
        UsageError: it has several faults; one alone is told by whoever reads it.
    """
    faults = faults_in(text, name)
    if len(faults) < 2:
        return
    for fault in faults:
        output.event("profile_fault", fault.as_json(), fault.summary)
    raise UsageError(f"{name} has {len(faults)} faults.", "\n".join(fault.sentence for fault in faults),
                     faults[0].remedy)


def _look_through(profile: SiteProfile, context: Context) -> None:
    """Say what a profile lets run and whom it trusts; at a terminal it is taken only if the person agrees.

    Raises:
        CancelledByUserError: they do not.
    """
    trusts, commands = trusts_of(profile), commands_of(profile)
    if trusts:
        context.output.event("trusts", {"site": profile.name, "trusts": trusts},
                             f"With {profile.name}:\n" + "\n".join(f"    {text}" for text in trusts))
    if commands:
        context.output.event("commands", {"site": profile.name, "commands": [text for _, text in commands]},
                             f"{profile.name} lets these run at the site:\n" +
                             "\n".join(f"    {text}   ({key})" for key, text in commands))
    asks = (trusts or commands) and not context.output.as_json and sys.stdin is not None and sys.stdin.isatty()
    if asks and not context.interaction.confirm(profile.name, f"Add {profile.label}?", "Take profiles only from people "
                                                "you trust.", "Add it"):
        raise CancelledByUserError(f"“{profile.name}” was not added.")


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


def summary_text(site: KnownSite) -> str:
    ssh = site.profile.ssh
    where = "" if site.profile.is_local else f"{ssh.host}:{ssh.port}" if ssh.host else "host not known"
    kind = "" if site.kind == "local" else f"{site.kind}, yours" if site.yours and site.kind == "shipped" else site.kind
    return f"{site.name:<12} {site.profile.title:<24} {kind:<16} {where}".rstrip()


def summary_json(site: KnownSite) -> dict[str, Any]:
    profile = site.profile
    return {"name": profile.name, "title": profile.title, "verified": profile.verified, "host": profile.ssh.host,
            "port": profile.ssh.port if profile.ssh.host else None, "batch": profile.batch.system,
            "kind": site.kind, "yours": site.yours, "file": str(site.file) if site.file else None}


def profile_json(value: Any) -> Any:
    """A profile as nested JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: profile_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [profile_json(v) for v in value]
    return value


def _facts_text(profile: SiteProfile, facts: list[SiteFact]) -> str:
    """One line for each value that is known, with its source; then what is not known, and what is assumed."""
    lines = [f"{profile.name}: {profile.title}", f"as a whole: {profile.verified or 'from its owner'}", ""]
    lines += [f"{fact.key:<28} {fact.value}\n{'':<28} {_state_text(fact)}" for fact in facts
              if fact.state not in ("default", "unknown")]
    lines += ["", "assumed: " + "; ".join(f"{fact.key} {fact.value}" for fact in facts if fact.state == "default"),
              "not known: " + ", ".join(fact.key for fact in facts if fact.state == "unknown")]
    return "\n".join(lines)


def _state_text(fact: SiteFact) -> str:
    return fact.state if fact.source in ("", fact.state) else f"{fact.state} ({fact.source.partition(': ')[2]})" \
        if ": " in fact.source else fact.source


def _export(profile: SiteProfile, file: str, output: Output) -> None:
    text = exported_text(profile)
    if not file:
        output.result({"exported": profile.name, "text": text}, text.rstrip("\n"))
        return
    try:
        Path(file).write_text(text, "utf-8")
    except OSError as error:
        raise DataError(f"The site profile cannot be written to {file}: {error.strerror or error}.",
                        remedy="Name another file with -o.") from None
    output.result({"exported": profile.name, "file": file}, f"Wrote {file}.")
