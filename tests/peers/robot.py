"""Plays the person in the browser: approves or refuses a sign-in on the demo provider's pages over HTTPS.

Follows forms and links as a browser would: cookies, hidden fields, Origin header, no JavaScript.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import requests


@dataclass
class Form:
    """The one form of a page: its hidden and preset fields, and the names of its buttons' values."""

    fields: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    text: str = ""


@dataclass
class Robot:
    """A browser with a person before it. ``pin_file`` and ``ca_file`` as in the facility's first line."""

    ca_file: str
    pin_file: str
    person: str = "ada"
    session: requests.Session = field(default_factory=requests.Session)

    def approve(self, verification_uri: str, user_code: str = "") -> str:
        """Approve a device code; returns the text of the last page."""
        return self._device(verification_uri, user_code, "approve")

    def refuse(self, verification_uri: str, user_code: str = "") -> str:
        """Refuse a device code; returns the text of the last page."""
        return self._device(verification_uri, user_code, "refuse")

    def authorize(self, authorization_uri: str, action: str = "approve") -> str:
        """Answer an authorization request; returns the address the browser is sent to (it is not opened)."""
        form = self._get(authorization_uri)
        if "sign_in" in form.actions:
            form = self._post(authorization_uri, form, "sign_in", self._who())
        assert action in form.actions, form.text
        return self._send(authorization_uri, form, action, {}).headers["Location"]

    def sign_in(self, authorization_uri: str) -> str:
        """Approve an authorization request and bring the answer to the application; returns the page it shows."""
        return requests.get(self.authorize(authorization_uri), timeout=60).text

    def _device(self, uri: str, user_code: str, action: str) -> str:
        form = self._get(uri)
        place = uri.partition("?")[0]
        typed = {"user_code": user_code} if user_code else {}
        if "sign_in" in form.actions:
            form = self._post(place, form, "sign_in", self._who() | typed)
        elif "continue" in form.actions:
            form = self._post(place, form, "continue", typed)
        assert action in form.actions, form.text
        return self._post(place, form, action, {}).text

    def _who(self) -> dict[str, str]:
        return {"person": self.person, "pin": Path(self.pin_file).read_text(encoding="utf-8").strip()}

    def _get(self, uri: str) -> Form:
        response = self.session.get(uri, verify=self.ca_file, timeout=60)
        return _form(response.text)

    def _post(self, uri: str, form: Form, action: str, changes: dict[str, str]) -> Form:
        return _form(self._send(uri, form, action, changes).text)

    def _send(self, uri: str, form: Form, action: str, changes: dict[str, str]) -> requests.Response:
        parts = urlsplit(uri)
        origin = {"Origin": f"{parts.scheme}://{parts.netloc}"}
        return self.session.post(uri, data={**form.fields, **changes, "action": action}, headers=origin,
                                 verify=self.ca_file, timeout=10, allow_redirects=False)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form = Form()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        if tag == "input" and "name" in given and (given.get("type") != "radio" or "checked" in given):
            self.form.fields[given["name"]] = given.get("value", "")
        if tag == "button":
            self.form.actions.append(given.get("value", ""))

    def handle_data(self, data: str) -> None:
        self.form.text += data.strip() + " " if data.strip() else ""


def _form(html: str) -> Form:
    reader = _Reader()
    reader.feed(html)
    return reader.form
