"""A real OpenID provider (npm oidc-provider, tests/peers/oidc) on an ephemeral loopback port, and a person for it.

Its packages are installed once, at the versions of package-lock.json, into ``.run/peers/oidc``.
"""

from __future__ import annotations

import contextlib
import html
import json
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import filelock
import requests

from app.model.site import IdentityMethod, IdentitySettings
from app.remote.seams import DeviceCode
from tests.peers.need import need_program
from tests.peers.pki import Pki

_HERE = Path(__file__).parent / "oidc"
_INSTALLED = Path(__file__).parent.parent.parent / ".run" / "peers" / "oidc"
START_S = 60.0


@dataclass
class OpenIdProvider:
    """A running provider."""

    issuer: str
    pki: Pki
    process: subprocess.Popen[str]
    answers: queue.Queue[dict[str, Any]]

    @property
    def host(self) -> str:
        return urlsplit(self.issuer).netloc

    def settings(self, **changes: Any) -> IdentitySettings:
        """The ``[identity]`` of a profile that uses it."""
        values: dict[str, Any] = {"method": IdentityMethod.OIDC, "issuer": self.issuer, "client_id": "beamside",
                                  "scopes": ("email", "ssh"), "ca_file": str(self.pki.ca), **changes}
        return IdentitySettings(**values)

    def fail(self, path: str, status: int, times: int) -> None:
        """Let the next ``times`` requests for ``path`` (below the issuer) fail."""
        self._order({"fail": {"path": path, "status": status, "times": times}})

    def count(self, path: str) -> int:
        """How many requests there were for ``path``."""
        return int(self._order({"count": path})["count"])

    def issued(self) -> list[str]:
        """Every access, refresh and ID token and every device code that it gave out."""
        return [str(secret) for secret in self._order({"issued": True})["issued"]]

    def approve(self, code: DeviceCode, user: str = "alice") -> None:
        """Play the person: sign in as ``user`` and approve."""
        visit(code.verification_uri_complete, self.pki, user)

    def refuse(self, code: DeviceCode, user: str = "alice") -> None:
        """Play the person: refuse."""
        visit(code.verification_uri_complete, self.pki, user, refuse=True)

    def answer(self, address: str, user: str = "alice") -> None:
        """Play the person in the browser: sign in as ``user`` and approve; the answer is brought to the application."""
        visit(address, self.pki, user)

    def answer_but_stop(self, address: str, user: str = "alice") -> str:
        """As ``answer``, but the browser stops before the application: the address it would have gone to."""
        return visit(address, self.pki, user, stop="http://127.0.0.1")

    def decline(self, address: str, user: str = "alice") -> None:
        """Play the person in the browser: refuse."""
        visit(address, self.pki, user, refuse=True)

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=START_S)


@contextlib.contextmanager
def openid_provider(pki: Pki, *, prefix: str = "/op", device_code_s: int = 120, access_token_s: int = 600,
                    interval_s: int = 1, code_said_s: int = 0, opaque: bool = False,
                    client: dict[str, Any] | None = None) -> Iterator[OpenIdProvider]:
    """Start a provider and stop it. ``prefix`` empty: an issuer without a path. ``code_said_s``: how long it says that
    its codes live, if not as long as they do. ``client``: the metadata that ours is registered with."""
    node = need_program("node", "nodejs")
    settings = {"modules": str(install()), "key": str(pki.key), "certificate": str(pki.certificate), "prefix": prefix,
                "device_code_s": device_code_s, "access_token_s": access_token_s,
                "interval_s": interval_s, "code_said_s": code_said_s, "opaque": opaque,
                **({"client": client} if client else {})}
    process = subprocess.Popen([node, str(_HERE / "provider.mjs"), json.dumps(settings)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    reader = threading.Thread(target=_read_answers, args=(process, answers), name="openid-provider-answers")
    reader.start()
    try:
        yield OpenIdProvider(str(answers.get(timeout=START_S)["issuer"]), pki, process, answers)
    finally:
        process.kill()
        process.wait(60)
        reader.join(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _read_answers(process: subprocess.Popen[str], answers: queue.Queue[dict[str, Any]]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):   # the rest are the library's notices
            answers.put(json.loads(line))


def install() -> Path:
    """Have npm put the packages beside the test run; returns their folder."""
    npm = need_program("npm", "npm")
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    lock_file = _HERE / "package-lock.json"
    with filelock.FileLock(str(_INSTALLED) + ".lock"):
        done = _INSTALLED / "installed-package-lock.json"
        if not done.exists() or done.read_bytes() != lock_file.read_bytes():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, _INSTALLED / name)
            result = subprocess.run([npm, "ci", "--omit=dev", "--no-audit", "--no-fund"], cwd=_INSTALLED,
                                    capture_output=True, text=True, timeout=300, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"npm could not install the OpenID provider:\n{result.stderr[-2000:]}")
            shutil.copy(lock_file, done)
    return _INSTALLED


def visit(address: str, pki: Pki, user: str, refuse: bool = False, stop: str = "") -> str:
    """Walk through the provider's pages as a browser would, until there is no form left.

    Args:
        stop: an address, or its beginning, that is not opened.

    Returns:
        The last page; or the address not opened.
    """
    with requests.Session() as browser:
        browser.verify = str(pki.ca)
        browser.trust_env = False
        page = _follow(browser, browser.get(address, timeout=60, allow_redirects=False), stop)
        for _ in range(20):
            if isinstance(page, str):
                return page
            form = _first_form(page.text)
            if form is None:
                return page.text
            action, fields = form
            if refuse and "login" not in fields:
                way_out = re.search(r'href="([^"]*/abort)"', page.text)
                if way_out is not None:
                    return browser.get(urljoin(page.url, html.unescape(way_out.group(1))), timeout=60).text
                fields["abort"] = "yes"
            if "login" in fields:
                fields.update(login=user, password="any")
            page = _follow(browser, browser.post(urljoin(page.url, action), data=fields, timeout=60,
                                                 allow_redirects=False), stop)
            if "abort" in fields:
                return page if isinstance(page, str) else page.text
    raise AssertionError("the provider's pages never end")


def _follow(browser: requests.Session, page: requests.Response, stop: str) -> requests.Response | str:
    while page.is_redirect:
        address = urljoin(page.url, page.headers["Location"])
        if stop and address.startswith(stop):
            return address
        page = browser.get(address, timeout=60, allow_redirects=False)
    return page


def _first_form(text: str) -> tuple[str, dict[str, str]] | None:
    match = re.search(r"<form([^>]*)>(.*?)</form>", text, re.S | re.I)
    if match is None:
        return None
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', match.group(1)))
    fields = {}
    for tag in re.findall(r"<input([^>]*)>", match.group(2), re.S | re.I):
        values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if values.get("name"):
            fields[values["name"]] = html.unescape(values.get("value", ""))
    return html.unescape(attributes.get("action", "")), fields
