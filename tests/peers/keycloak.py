"""A real Keycloak over TLS on 127.0.0.1, with a facility's realm and a second realm as its identity provider.

Its distribution comes through Maven's own client (160 MB, once) and is prepared once (15 s and more); both are kept.
A start takes 20 s to a minute and 400 MB of memory. The person's part is played over HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import filelock
import requests

from app.model.site import IdentityMethod, IdentitySettings
from app.remote.seams import DeviceCode
from tests.peers.kept import cannot_get, kept_folder
from tests.peers.pki import Pki
from tests.peers.ports import free_port

VERSION = "26.4.7"
SHA512 = ("f9d4e0ced49976932e173abc8d2f6ff4169c125fe3b14e69ebaa0ccc4dea822e"
          "879f7ec7353d28fa40c13de0113059c6888833725378ecef4d27587e0c87a6a2")
PASSWORD = "a password for tests"
START_S = 240.0
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


@dataclass
class Keycloak:
    """A running server."""

    origin: str
    pki: Pki
    seen: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """The facility's realm."""
        return f"{self.origin}/realms/light"

    def settings(self, **changes: Any) -> IdentitySettings:
        """The ``[identity]`` of a profile that uses the facility's realm."""
        values: dict[str, Any] = {"method": IdentityMethod.OIDC, "issuer": self.issuer, "client_id": "beamside",
                                  "scopes": ("email",), "ca_file": str(self.pki.ca), **changes}
        return IdentitySettings(**values)

    def approve(self, code: DeviceCode, user: str = "alice") -> None:
        """Play the person with a device code."""
        self.visit(code.verification_uri_complete, user)

    def answer(self, address: str, user: str = "alice") -> None:
        """Play the person in the browser."""
        self.visit(address, user)

    def visit(self, address: str, user: str, *, refuse: bool = False) -> str:
        """Walk through the pages until none asks anything; ``seen`` then has their addresses. Returns the last page."""
        self.seen = []
        with requests.Session() as browser:
            browser.verify, browser.trust_env = str(self.pki.ca), False
            page = self._follow(browser, browser.get(address, timeout=60, allow_redirects=False))
            for _ in range(20):
                form = _form(page.text)
                if form is None:
                    return page.text
                action, fields = form
                if "username" in fields or "password" in fields:
                    fields.update(username=user, password=PASSWORD)
                if "accept" in fields:
                    fields.pop("accept" if refuse else "cancel", None)
                page = self._follow(browser, browser.post(urljoin(page.url, action), data=fields, timeout=60,
                                                          allow_redirects=False))
        raise AssertionError(f"the pages never end: {page.url}\n{page.text}")

    def _follow(self, browser: requests.Session, page: requests.Response) -> requests.Response:
        self.seen.append(page.url)
        while page.is_redirect:
            page = browser.get(urljoin(page.url, page.headers["Location"]), timeout=60, allow_redirects=False)
            self.seen.append(page.url)
        return page


@contextlib.contextmanager
def keycloak(folder: Path, pki: Pki, **realm: Any) -> Iterator[Keycloak]:
    """Start a server below ``folder`` and stop it. ``realm``: changes to the facility's realm."""
    distribution = install()
    port = free_port()
    running = Keycloak(f"https://127.0.0.1:{port}", pki)
    home = folder / "keycloak"
    shutil.copytree(distribution, home, symlinks=True, ignore=shutil.ignore_patterns("data"))
    imports = home / "data" / "import"
    imports.mkdir(parents=True)
    for name, contents in (("light", {**_facility(running), **realm}), ("umbrella", _federation(running))):
        (imports / f"{name}.json").write_text(json.dumps(contents))
    log = (folder / "keycloak.log").open("wb")
    environment = {**os.environ, "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"}
    process = subprocess.Popen(
        [str(home / "bin" / "kc.sh"), "start", "--optimized", "--import-realm", "--cache=local",
         "--http-enabled=false",
         "--http-host=127.0.0.1", f"--https-port={port}", f"--https-certificate-file={pki.certificate}",
         f"--https-certificate-key-file={pki.key}", f"--hostname={running.origin}", f"--truststore-paths={pki.ca}"],
        env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(process, running, folder / "keycloak.log")
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        log.close()


def install() -> Path:
    """The prepared distribution; skips the test if it cannot be had."""
    for program, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            cannot_get("Keycloak", f"the program {program} is missing (package {package})")
    kept = kept_folder(f"keycloak-{VERSION}")
    ready = kept / f"keycloak-{VERSION}"
    with filelock.FileLock(str(kept) + ".lock"):
        if (kept / "ready").exists():
            return ready
        archive = kept / f"keycloak-quarkus-dist-{VERSION}.zip"
        if not archive.exists() or _sha512(archive) != SHA512:
            done = subprocess.run(
                ["mvn", "-B", "-q", _COPY, f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip",
                 f"-DoutputDirectory={kept}", f"-Dmaven.repo.local={kept / 'maven'}"],
                capture_output=True, text=True, timeout=900, check=False)
            if done.returncode:
                cannot_get("Keycloak", f"Maven could not fetch it: {(done.stdout + done.stderr).strip()[-300:]}")
            if _sha512(archive) != SHA512:
                cannot_get("Keycloak", "what Maven fetched is not what was expected (SHA-512)")
        shutil.rmtree(ready, ignore_errors=True)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(kept)
        for script in (ready / "bin").glob("*.sh"):
            script.chmod(0o755)
        done = subprocess.run([str(ready / "bin" / "kc.sh"), "build", "--db=dev-mem"],
                              capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            cannot_get("Keycloak", f"it cannot be prepared with this Java: {(done.stdout + done.stderr)[-300:]}")
        archive.unlink()
        shutil.rmtree(kept / "maven", ignore_errors=True)
        (kept / "ready").touch()
    return ready


def _wait(process: subprocess.Popen[bytes], running: Keycloak, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            address = running.issuer + "/.well-known/openid-configuration"
            if requests.get(address, verify=str(running.pki.ca), timeout=30).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise RuntimeError("Keycloak did not start:\n" + log.read_text(errors="replace")[-3000:])


def _facility(running: Keycloak) -> dict[str, Any]:
    base = f"{running.origin}/realms/umbrella/protocol/openid-connect"
    return {
        "realm": "light", "enabled": True, "revokeRefreshToken": True, "refreshTokenMaxReuse": 0,
        "accessTokenLifespan": 300, "ssoSessionIdleTimeout": 1800, "oauth2DevicePollingInterval": 1,
        "clients": [{
            "clientId": "beamside", "enabled": True, "publicClient": True, "standardFlowEnabled": True,
            "consentRequired": True,
            "redirectUris": ["http://127.0.0.1/cb"],
            "attributes": {"oauth2.device.authorization.grant.enabled": "true", "pkce.code.challenge.method": "S256"}}],
        "users": [_user("alice", "Example")],
        "identityProviders": [{
            "alias": "umbrella", "providerId": "oidc", "enabled": True, "trustEmail": True,
            "config": {"clientId": "light", "clientSecret": PASSWORD, "clientAuthMethod": "client_secret_post",
                       "authorizationUrl": f"{base}/auth", "tokenUrl": f"{base}/token", "jwksUrl": f"{base}/certs",
                       "issuer": f"{running.origin}/realms/umbrella", "useJwksUrl": "true", "validateSignature": "true",
                       "defaultScope": "openid profile email", "pkceEnabled": "true", "pkceMethod": "S256"}}],
    }


def _federation(running: Keycloak) -> dict[str, Any]:
    return {
        "realm": "umbrella", "enabled": True,
        "clients": [{
            "clientId": "light", "enabled": True, "publicClient": False, "secret": PASSWORD,
            "standardFlowEnabled": True, "redirectUris": [f"{running.issuer}/broker/umbrella/endpoint"]}],
        "users": [_user("ursula", "Umbrella")],
    }


def _user(name: str, family: str) -> dict[str, Any]:
    return {"username": name, "enabled": True, "email": f"{name}@light.example", "emailVerified": True,
            "firstName": name.title(), "lastName": family, "realmRoles": ["offline_access"],
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}]}


def _form(text: str) -> tuple[str, dict[str, str]] | None:
    match = re.search(r"<form([^>]*)>(.*?)</form>", text, re.S | re.I)
    if match is None:
        return None
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', match.group(1)))
    fields = {}
    for tag in re.findall(r"<(?:input|button)([^>]*)>", match.group(2), re.S | re.I):
        values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if values.get("name"):
            fields[values["name"]] = html.unescape(values.get("value", ""))
    return html.unescape(attributes.get("action", "")), fields


def _sha512(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha512").hexdigest()


def paths_of(addresses: list[str]) -> list[str]:
    """The paths of visited addresses."""
    return [urlsplit(address).path for address in addresses]
