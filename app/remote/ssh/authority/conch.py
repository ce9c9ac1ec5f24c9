"""conch, as deployed for Isambard (its client is clifton): ``GET {ca}/sign?public_key=…``, versions 2 and 3.

Answers with 500 for nearly everything that is refused, so the message is shown and nothing is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.remote.ssh.authority.answers import AuthorityWeb
from app.remote.ssh.authority.offer import Offer, Wish

revoke_all = None
_OLD_CLIENT = "clifton"


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate per resource (and project); of version 2 and early version 3 the same one for all."""
    url = f"{wish.url.rstrip('/')}/sign"
    answer = web.json("GET", url, bearer=wish.access_token(), params={"public_key": wish.public_line})
    if "platforms" in answer:
        return list(_version_2(answer))
    resources, associations = answer.get("resources"), answer.get("associations")
    if not isinstance(resources, dict) or not isinstance(associations, dict):
        raise web.not_understood(url, f"version {answer.get('version', 'unknown')}")
    return list(_version_3(resources, associations, str(answer.get("certificate") or "")))


def _version_2(answer: dict[str, Any]) -> Iterator[Offer]:
    short, text = str(answer.get("short_name") or ""), str(answer.get("certificate") or "")
    platforms = _mapping(answer.get("platforms"))
    for project, names in _mapping(answer.get("projects")).items():
        for name in names if isinstance(names, list) else []:
            yield _offer(text, f"{short}.{project}", str(project), platforms.get(str(name)))


def _version_3(resources: dict[str, Any], associations: dict[str, Any], for_all: str) -> Iterator[Offer]:
    """Associations are ``{"resources": {…}}``, ``{"projects": {id: {…}}}``, or (documented) ``{id: {…}}``."""
    projects = {name: value for name, value in associations.items() if name not in ("resources", "projects")}
    groups = [("", associations), *{**projects, **_mapping(associations.get("projects"))}.items()]
    for project, group in groups:
        for name, entry in _mapping(_mapping(group).get("resources")).items():
            said = _mapping(entry)
            text = str(said.get("certificate") or for_all)
            if text:
                yield _offer(text, str(said.get("username") or ""), str(project), resources.get(name))


def _offer(text: str, user: str, project: str, resource: object) -> Offer:
    said = _mapping(resource)
    return Offer(text, str(said.get("hostname") or ""), user, str(said.get("alias") or ""), project,
                 str(said.get("proxy_jump") or ""))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
