"""The demo facility's OpenID provider: discovery, sign-in pages and the OAuth endpoints. Request threads.

Nobody approves anything here without the demo PIN, and no page of another site can send these forms (``browser.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from flask import Flask, Response, request

from app.facility import pages
from app.facility.browser import COOKIE, Session, Sessions
from app.facility.grants import GRANT_TYPES, SCOPES, DeviceRequest, Grants
from app.facility.options import Options
from app.facility.persons import person
from app.facility.pin import Pin
from app.facility.tokens import RefreshTokens, Signer, TokenRefusedError

_WRONG_PIN = "That is not the demo PIN."
_BLOCKED = "Too many wrong PINs. Wait a minute, then try again."
_NO_CODE = "This code is not known. It may have run out: ask Beamside for a new one."


class Provider:
    """The provider as a WSGI application below one issuer."""

    def __init__(self, issuer: str, signer: Signer, pin: Pin, options: Options, refresh_file: Path) -> None:
        self.issuer = issuer
        self._signer = signer
        self._pin = pin
        self._sessions = Sessions()
        self._grants = Grants(signer, RefreshTokens(refresh_file, options.refresh_lifetime_s), options,
                              f"{issuer}/device")
        self.app = Flask("app.facility", static_folder=None)
        self.app.json.sort_keys = False                                      # type: ignore[attr-defined]
        base = urlsplit(issuer).path
        for path, methods, view in (
                (f"{base}/.well-known/openid-configuration", ["GET"], self._discovery),
                (f"{base}/jwks", ["GET"], self._jwks),
                (f"{base}/device_authorization", ["POST"], self._device_authorization),
                (f"{base}/token", ["POST"], self._token),
                (f"{base}/revoke", ["POST"], self._revoke),
                (f"{base}/userinfo", ["GET", "POST"], self._userinfo),
                (f"{base}/device", ["GET", "POST"], self._device),
                (f"{base}/authorize", ["GET", "POST"], self._authorize),
                (f"{base}/logout", ["GET", "POST"], self._logout),
                ("/style.css", ["GET"], self._style),
                (f"{base}/" if base else "/", ["GET"], self._home)):
            self.app.add_url_rule(path, view.__name__, view, methods=methods)

    def _discovery(self) -> dict[str, Any]:
        own = self.issuer
        return {
            "issuer": own, "authorization_endpoint": f"{own}/authorize", "token_endpoint": f"{own}/token",
            "device_authorization_endpoint": f"{own}/device_authorization", "userinfo_endpoint": f"{own}/userinfo",
            "revocation_endpoint": f"{own}/revoke", "end_session_endpoint": f"{own}/logout",
            "jwks_uri": f"{own}/jwks", "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"], "response_modes_supported": ["query"],
            "grant_types_supported": list(GRANT_TYPES), "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"], "revocation_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "name", "preferred_username", "email"]}

    def _jwks(self) -> dict[str, Any]:
        return self._signer.public_keys()

    def _device_authorization(self) -> Response:
        return self._grants.server.create_endpoint_response("device_authorization")

    def _token(self) -> Response:
        return self._grants.server.create_token_response()

    def _revoke(self) -> Response:
        return self._grants.server.create_endpoint_response("revocation")

    def _userinfo(self) -> Response | tuple[dict[str, Any], int, dict[str, str]]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer":
                raise TokenRefusedError("A bearer token is needed.")
            claims = self._signer.check_access_token(token.strip())
        except TokenRefusedError as refusal:
            return ({"error": "invalid_token", "error_description": str(refusal)}, 401,
                    {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        who = person(claims["sub"])
        return (dict(who.claims(claims["scope"])) if who else {}), 200, {}

    def _style(self) -> Response:
        return Response(pages.STYLE, mimetype="text/css", headers={"Cache-Control": "max-age=600"})

    def _home(self) -> Response:
        return self._page(pages.message_page("Demo facility", "Start a sign-in from Beamside; it leads you here."))

    # --- the pages -----------------------------------------------------------------------------------------------

    def _device(self) -> Response:
        session = self._session()
        if request.method == "GET":
            return self._ask_device(session, request.args.get("user_code", ""))
        fault = self._forged(session)
        if fault is not None:
            return fault
        typed = request.form.get("user_code", "")[:40]
        action = request.form.get("action", "")
        if action == "sign_in":
            entered = self._sign_in(lambda text: pages.sign_in_page(
                self._sessions.form_token(session), user_code=typed, chosen=request.form.get("person", ""), fault=text),
                session)
            return entered if isinstance(entered, Response) else self._ask_device(entered, typed, submitted=True)
        if action == "switch":
            self._sessions.sign_out(session)
            return self._ask_device(Session(session.id), typed)
        wanted = self._grants.device_by_user_code(typed)
        if session.person is None or action not in ("approve", "refuse") or wanted is None:
            return self._ask_device(session, typed, submitted=True)
        return self._settle(session, wanted, approve=action == "approve")

    def _ask_device(self, session: Session, typed: str, submitted: bool = False) -> Response:
        token = self._sessions.form_token(session)
        if session.person is None:
            return self._page(pages.sign_in_page(token, user_code=typed), session)
        wanted = self._grants.device_by_user_code(typed)
        if wanted is None:
            fault = _NO_CODE if typed or submitted else ""
            return self._page(pages.code_page(token, session.person, fault=fault), session)
        return self._page(pages.consent_page(token, session.person, wanted.client_id, wanted.scope,
                                             user_code=wanted.user_code), session)

    def _settle(self, session: Session, wanted: DeviceRequest, approve: bool) -> Response:
        if not self._grants.settle(wanted, session.person if approve else None):
            return self._page(pages.message_page("Too late", _NO_CODE), session)
        if approve:
            return self._page(pages.message_page(
                "You are signed in", "Go back to Beamside; you may close this tab.", good=True), session)
        return self._page(pages.message_page("Refused", "Nobody was signed in. You may close this tab."), session)

    def _authorize(self) -> Response:
        session = self._session()
        if request.method == "POST":
            fault = self._forged(session)
            if fault is not None:
                return fault
        try:
            grant = self._grants.server.get_consent_grant(end_user=session.person)
        except OAuth2Error as error:
            return self._page(pages.message_page("This sign-in request is faulty", error.description or error.error),
                              status=400)
        action = request.form.get("action", "") if request.method == "POST" else ""
        if action == "sign_in":
            entered = self._sign_in(lambda text: pages.sign_in_page(
                self._sessions.form_token(session), user_code=None, chosen=request.form.get("person", ""), fault=text),
                session)
            if isinstance(entered, Response):
                return entered
            session, action = entered, ""
        if action == "switch":
            self._sessions.sign_out(session)
            session = Session(session.id)
        token = self._sessions.form_token(session)
        if session.person is None:
            return self._page(pages.sign_in_page(token, user_code=None), session)
        if action in ("approve", "refuse"):
            return self._redirect(grant, session, approve=action == "approve")
        client = grant.request.client.client_id
        return self._page(pages.consent_page(token, session.person, client, grant.request.scope), session)

    def _logout(self) -> Response:
        """Ends what the browser remembers; asks first, so that no other page can do it."""
        session = self._session()
        if request.method == "POST":
            fault = self._forged(session)
            if fault is not None:
                return fault
            self._sessions.sign_out(session)
            return self._page(pages.message_page("You are signed out", "You may close this tab.", good=True),
                              Session(session.id))
        if session.person is None:
            return self._page(pages.message_page("Nobody is signed in here", "You may close this tab."), session)
        return self._page(pages.sign_out_page(self._sessions.form_token(session), session.person), session)

    def _redirect(self, grant: Any, session: Session, approve: bool) -> Response:
        response = self._grants.server.create_authorization_response(
            grant_user=session.person if approve else None, grant=grant)
        place = response.headers.get("Location", "")
        if place:                                      # RFC 9207
            from authlib.common.urls import add_params_to_uri
            response.headers["Location"] = add_params_to_uri(place, [("iss", self.issuer)])
        return response

    # --- what the pages share ------------------------------------------------------------------------------------

    def _session(self) -> Session:
        return self._sessions.get(request.cookies.get(COOKIE))

    def _forged(self, session: Session) -> Response | None:
        """A refusal when the form did not come from one of our pages in this browser."""
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin != f"https://{request.host}"
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if foreign or site not in ("same-origin", "none") or not self._sessions.is_ours(
                session, request.form.get("form_token", "")):
            return self._page(pages.message_page(
                "This form is not ours", "Open the address that Beamside shows again, and start from there."),
                status=403)
        return None

    def _sign_in(self, ask_again: Any, session: Session) -> Response | Session:
        who = person(request.form.get("person", ""))
        if who is None or not self._pin.check(request.form.get("pin", "")):
            return self._page(ask_again(_BLOCKED if self._pin.blocked else _WRONG_PIN), session, status=403)
        return self._sessions.sign_in(who)

    def _page(self, html: str, session: Session | None = None, status: int = 200) -> Response:
        response = Response(html, status=status, mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            "form-action 'self' http://127.0.0.1:* http://localhost:*")
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if session is not None:
            response.set_cookie(COOKIE, session.id, secure=True, httponly=True, samesite="Strict", path="/")
        return response
