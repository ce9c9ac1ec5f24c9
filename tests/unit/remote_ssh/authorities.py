"""What tests of certificates share: a signed-in session, and profiles that use a certificate authority."""

from __future__ import annotations

import dataclasses
from typing import Any

from app.model.site import IdentitySettings, SiteProfile
from tests.peers.certificate_endpoint import Endpoint
from tests.peers.sshd import Sshd
from tests.unit.remote_ssh.conftest import profile_for

ISSUER = "https://issuer.example/realms/x"


class FakeTokens:
    """A sign-in session that is already there. Every ID token is a new one."""

    def __init__(self, token: str = "the-token") -> None:
        self.derived: dict[str, object] = {}
        self.token = token
        self.id_tokens = 0
        self.asked = 0

    def access_token(self, interaction: object = None) -> str:
        self.asked += 1
        return self.token

    def id_token(self) -> str:
        self.id_tokens += 1
        return f"id-token-{self.id_tokens}"


def site(server: Sshd, authority: Endpoint, kind: str = "conch", **changes: Any) -> SiteProfile:
    """A profile for the server with certificates of the authority only. ``url``: another address of the authority."""
    settings = authority.settings(kind, **({"url": changes.pop("url")} if "url" in changes else {}))
    profile = profile_for(server, **{"methods": ("certificate",), "user": "", "certificate_authority": settings,
                                     **changes})
    return dataclasses.replace(profile, identity=IdentitySettings(issuer=ISSUER))
