"""Registers secrets that no peer sees (tokens msal is given, keys Beamside makes), hears the doctor's reports."""

from __future__ import annotations

from typing import Any

from msal.oauth2cli import oauth2

from app.model.doctor import Report
from app.remote.doctor import report as reports
from app.remote.ssh.authority.holder import CertificateHolder
from tests.checks.secret_places import PLACES
from tests.checks.secrets import register

TOKENS = ("access_token", "refresh_token", "id_token")
TOKEN_LENGTH = 16   # characters at least; shorter ones are words of tests ("nonsense")


def listen() -> None:
    """From now on every token that any provider answers with, and every such key, is known as a secret."""
    made, as_text = CertificateHolder.__init__, reports.as_text
    real = oauth2.BaseClient._obtain_token
    begun = oauth2.Client.initiate_device_flow

    def obtain(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = real(self, *args, **kwargs)
        for name in TOKENS:
            if isinstance(answer, dict) and isinstance(answer.get(name), str) and len(answer[name]) >= TOKEN_LENGTH:
                register(answer[name], f"the {name.replace('_', ' ')} of a sign-in")
        return answer

    def begin(self: Any, *args: Any, **kwargs: Any) -> Any:
        flow = begun(self, *args, **kwargs)
        if isinstance(flow.get("device_code"), str):
            register(flow["device_code"], "the device code of a sign-in")
        return flow

    def make(self: CertificateHolder, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        register(self._private.private_bytes_raw(), "the key of a certificate")

    def report(found: Report) -> str:
        text = as_text(found)
        PLACES.say("a report of the connection doctor", text)
        return text

    reports.as_text = report
    CertificateHolder.__init__ = make                    # type: ignore[method-assign]
    oauth2.BaseClient._obtain_token = obtain
    oauth2.Client.initiate_device_flow = begin
