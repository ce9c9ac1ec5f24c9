"""The site profile of the running demo facility (docs/site-profile.md). Pure text making."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from app.facility.options import Options
from app.facility.persons import LOGIN_NAME
from app.facility.tokens import AUDIENCE


def profile_text(*, issuer: str, ca_url: str, ca_file: Path, ssh_port: int, host_key: str, data: Path,
                 options: Options, gateway: tuple[int, str] | None = None) -> str:
    """The TOML text of the profile ``demo``. ``gateway``: port and host key of the one that leads to the SSH server."""
    hop = [] if gateway is None else [("[ssh.hops]", {
        "host": "127.0.0.1", "port": gateway[0], "user": LOGIN_NAME, "methods": ["certificate", "keyboard-interactive"],
        "host_keys": [gateway[1]], "hold_session": True})]
    sections: list[tuple[str, dict[str, Any]]] = [
        ("", {"schema": 1, "name": "demo", "title": "Demo facility", "verified": "doc: runs on this computer",
              "contact": "", "colour": "#0b67d0"}),
        ("identity", {"method": "oidc", "issuer": issuer, "client_id": "beamside", "scopes": ["email"],
                      "audience": AUDIENCE, "redirect_port": 0, "idp_hint": "", "ca_file": str(ca_file)}),
        ("ssh", {"host": "127.0.0.1", "port": ssh_port, "user": LOGIN_NAME,
                 "methods": ["certificate", "keyboard-interactive"], "host_keys": [host_key]}),
        *hop,
        ("ssh.certificate_authority", {"kind": "conch", "url": ca_url, "ca_file": str(ca_file)}),
        ("agent", {"python": ["python3"], "run": "login", "workers": 2, "memory_mb": 1024,
                   "cache": "~/.cache/beamside"}),
        ("batch", {"system": "slurm", "partitions": [], "account": "", "poll_s": options.poll_s,
                   "login_shell": False}),
        ("data", {"roots": [f"{data.as_posix()}/visitor/{{proposal}}/{{beamline}}/{{date}}"], "raw": "RAW_DATA",
                  "processed": "PROCESSED_DATA", "confidential": False}),
        ("software", {"setup": [], "containers": "none", "recipes": []}),
        ("software.environments", {name: f"export PATH={_shell(Path(sys.executable).parent)}:\"$PATH\""
                                   for name in ("saxs", "tomography", "default")}),
    ]
    lines = ["# Written by the demo facility at every start."]
    for name, values in sections:
        if name:
            lines += ["", f"[{name}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _shell(path: Path) -> str:
    import shlex
    return shlex.quote(str(path))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
