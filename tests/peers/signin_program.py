"""A second Beamside for sign-in tests: ``python -m tests.peers.signin_program ACTION SETTINGS``; one JSON line out.

SETTINGS is a file with issuer, client_id, scopes and ca_file. ACTION: ``sign-in`` (a robot approves), ``who``,
``renew N`` (N forced renewals), ``renew-when-told`` (one for each line of input, answered by a line), ``sign-out``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from app.errors import BeamsideError
from app.model.site import IdentityMethod, IdentitySettings
from app.remote.signin.oidc import OidcSession
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import visit
from tests.peers.pki import Pki


def main(action: str, file: str, *arguments: str) -> dict[str, Any]:
    values = json.loads(Path(file).read_text())
    settings = IdentitySettings(IdentityMethod.OIDC, values["issuer"], scopes=("email",), ca_file=values["ca_file"])
    session = OidcSession("here", settings)
    pki = Pki(Path(values["ca_file"]), Path(), Path())
    if action == "sign-in":
        person = FakePerson(on_code=lambda code: visit(code.verification_uri_complete, pki, "alice") and None)
        identity = session.sign_in(person)
        return {"identity": dataclasses.asdict(identity), "codes": len(person.codes)}
    if action == "renew":
        tokens = set()
        for _ in range(int(arguments[0])):
            tokens.add(session.access_token())
            session._access = (next(iter(tokens)), time.time())   # as if it were running out
        return {"tokens": len(tokens)}
    if action == "renew-when-told":
        for count, _ in enumerate(sys.stdin, 1):
            session.access_token()
            session._access = ("", time.time())
            print(count, flush=True)
        return {}
    if action == "sign-out":
        return {"revoked": session.sign_out()}
    known = session.identity
    return {"identity": dataclasses.asdict(known) if known else None, "why_not_kept": session.why_not_kept}


if __name__ == "__main__":
    try:
        print(json.dumps(main(*sys.argv[1:])))
    except BeamsideError as error:
        print(json.dumps({"error": error.as_json()}))
