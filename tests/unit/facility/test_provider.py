"""The demo's OpenID provider: what clients rely on, and that nobody else can approve a sign-in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests

from app.facility.pin import Pin
from tests.peers.demo_facility import DemoFacility, running_facility

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid profile email offline_access"


class Client:
    """An application that speaks to the provider."""

    def __init__(self, facility: DemoFacility) -> None:
        self.issuer = str(facility.addresses["issuer"])
        self.ca = str(facility.addresses["ca"])
        self.session = requests.Session()
        self.session.trust_env = False          # REQUESTS_CA_BUNDLE would win over verify
        self.session.verify = facility.addresses["ca_file"]

    def device(self) -> dict[str, Any]:
        return dict(self.post("device_authorization", scope=SCOPE))

    def post(self, endpoint: str, **fields: str) -> dict[str, Any]:
        answer = self.session.post(f"{self.issuer}/{endpoint}", data={"client_id": "beamside", **fields}, timeout=10)
        return dict(answer.json())

    def poll(self, device_code: str) -> dict[str, Any]:
        return self.post("token", grant_type=DEVICE, device_code=device_code)

    def refresh(self, token: str) -> dict[str, Any]:
        return self.post("token", grant_type="refresh_token", refresh_token=token)

    def sign(self, token: str, public_key: str = "ssh-ed25519 AAAA") -> requests.Response:
        return self.session.get(f"{self.ca}/sign", params={"public_key": public_key}, timeout=10,
                                headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def client(demo_facility: DemoFacility) -> Iterator[Client]:
    made = Client(demo_facility)
    yield made
    made.session.close()


def signed_in(facility: DemoFacility, client: Client, person: str = "ada") -> dict[str, Any]:
    code = client.device()
    facility.robot(person).approve(code["verification_uri_complete"])
    token = client.poll(code["device_code"])
    assert "access_token" in token, token
    return token


def test_that_a_device_code_is_pending_until_the_person_approves(demo_facility: DemoFacility, client: Client) -> None:
    code = client.device()
    assert client.poll(code["device_code"])["error"] == "authorization_pending"
    last = demo_facility.robot().approve(code["verification_uri"], code["user_code"].lower().replace("-", " "))
    assert "You are signed in" in last
    token = client.poll(code["device_code"])
    keys = jwt.PyJWKSet.from_dict(client.session.get(f"{client.issuer}/jwks", timeout=10).json())
    claims = jwt.decode(token["id_token"], keys.keys[0].key, algorithms=["RS256"], audience="beamside",
                        issuer=client.issuer)
    assert (claims["sub"], claims["name"], claims["email"]) == ("ada", "Ada Lindqvist", "ada@umbrella.example")


def test_that_a_device_code_gives_tokens_once(demo_facility: DemoFacility, client: Client) -> None:
    code = client.device()
    demo_facility.robot().approve(code["verification_uri_complete"])
    assert "access_token" in client.poll(code["device_code"])
    assert client.poll(code["device_code"])["error"] == "invalid_grant"


def test_that_a_refusal_is_told(demo_facility: DemoFacility, client: Client) -> None:
    code = client.device()
    demo_facility.robot().refuse(code["verification_uri_complete"])
    assert client.poll(code["device_code"])["error"] == "access_denied"


def test_that_asking_too_often_slows_down(client: Client) -> None:
    code = client.device()
    client.poll(code["device_code"])
    assert client.poll(code["device_code"])["error"] == "slow_down"


def test_that_codes_and_tokens_run_out_as_the_options_say() -> None:
    with running_facility(code_lifetime_s=1, access_lifetime_s=1, pathless=True) as facility:
        client = Client(facility)
        assert urlsplit(client.issuer).path == ""
        code = client.device()
        assert code["expires_in"] == 1
        answer = client.poll(code["device_code"])
        while answer["error"] in ("authorization_pending", "slow_down"):
            answer = client.poll(code["device_code"])
        assert answer["error"] == "expired_token"
        client.session.close()


def test_that_the_browser_flow_needs_pkce_and_names_its_issuer(demo_facility: DemoFacility, client: Client) -> None:
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"response_type": "code", "client_id": "beamside", "redirect_uri": "http://127.0.0.1:43210/cb",
             "scope": SCOPE, "state": "st", "nonce": "no", "code_challenge": challenge, "code_challenge_method": "S256",
             "prompt": "consent"}
    place = demo_facility.robot("ben").authorize(f"{client.issuer}/authorize?{urlencode(asked)}")
    assert place.startswith("http://127.0.0.1:43210/cb?")
    told = {k: v[0] for k, v in parse_qs(urlsplit(place).query).items()}
    assert (told["state"], told["iss"]) == ("st", client.issuer)
    fields = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": asked["redirect_uri"]}
    assert client.post("token", **fields, code_verifier="w" * 64)["error"] == "invalid_grant"
    place = demo_facility.robot("ben").authorize(f"{client.issuer}/authorize?{urlencode(asked)}")
    fields["code"] = parse_qs(urlsplit(place).query)["code"][0]
    token = client.post("token", **fields, code_verifier=verifier)
    assert jwt.decode(token["id_token"], options={"verify_signature": False})["nonce"] == "no"
    assert client.post("token", **fields, code_verifier=verifier)["error"] == "invalid_grant"
    del asked["code_challenge"]
    page = client.session.get(f"{client.issuer}/authorize?{urlencode(asked)}", timeout=10)
    assert (page.status_code, "faulty" in page.text) == (400, True)


def test_that_a_refused_browser_sign_in_says_so(demo_facility: DemoFacility, client: Client) -> None:
    asked = {"response_type": "code", "client_id": "beamside", "redirect_uri": "http://127.0.0.1:1/cb", "scope": SCOPE,
             "state": "st", "code_challenge": "c" * 43, "code_challenge_method": "S256"}
    place = demo_facility.robot().authorize(f"{client.issuer}/authorize?{urlencode(asked)}", "refuse")
    assert parse_qs(urlsplit(place).query)["error"] == ["access_denied"]


def test_that_the_browser_forgets_who_signed_in_when_told(demo_facility: DemoFacility, client: Client) -> None:
    asked = {"response_type": "code", "client_id": "beamside", "redirect_uri": "http://127.0.0.1:1/cb", "scope": SCOPE,
             "state": "st", "code_challenge": "c" * 43, "code_challenge_method": "S256"}
    end = client.session.get(f"{client.issuer}/.well-known/openid-configuration", timeout=10).json()[
        "end_session_endpoint"]
    robot = demo_facility.robot()
    page = f"{client.issuer}/authorize?{urlencode(asked)}"
    robot.authorize(page)
    assert "approve" in robot._get(page).actions, "this browser is signed in"
    assert "sign_out" in robot._get(f"{end}?client_id=beamside").actions
    assert "approve" in robot._get(page).actions, "asking alone changes nothing"
    forged = robot.session.post(end, data={"action": "sign_out"}, verify=robot.ca_file, timeout=10)
    assert forged.status_code == 403
    assert "signed out" in robot._post(end, robot._get(end), "sign_out", {}).text
    assert "sign_in" in robot._get(page).actions
    assert "Nobody is signed in here" in robot._get(end).text


@pytest.mark.parametrize("place", ["https://evil.example/cb", "http://evil.example/cb", "http://127.0.0.1.evil/cb",
                                   "http://u@127.0.0.1/cb", "javascript:1"])
def test_that_the_browser_is_sent_to_loopback_only(client: Client, place: str) -> None:
    asked = {"response_type": "code", "client_id": "beamside", "redirect_uri": place, "scope": SCOPE,
             "code_challenge": "c" * 43, "code_challenge_method": "S256"}
    page = client.session.get(f"{client.issuer}/authorize?{urlencode(asked)}", timeout=10, allow_redirects=False)
    assert page.status_code == 400


def test_that_refresh_tokens_rotate_and_a_replay_ends_the_family(demo_facility: DemoFacility, client: Client) -> None:
    first = signed_in(demo_facility, client)["refresh_token"]
    second = client.refresh(first)
    assert second["refresh_token"] != first
    assert "id_token" in second
    assert client.refresh(first)["error"] == "invalid_grant"
    assert client.refresh(second["refresh_token"])["error"] == "invalid_grant"


def test_that_a_revoked_token_is_of_no_use(demo_facility: DemoFacility, client: Client) -> None:
    token = signed_in(demo_facility, client)
    assert client.post("revoke", token=token["refresh_token"], token_type_hint="refresh_token") == {}
    assert client.refresh(token["refresh_token"])["error"] == "invalid_grant"
    assert client.post("revoke", token=token["access_token"]) == {}
    assert "revoked" in client.sign(token["access_token"]).json()["message"]


def test_that_userinfo_wants_a_good_access_token(demo_facility: DemoFacility, client: Client) -> None:
    token = signed_in(demo_facility, client)
    ask = {"Authorization": f"Bearer {token['access_token']}"}
    assert client.session.get(f"{client.issuer}/userinfo", headers=ask, timeout=10).json()["sub"] == "ada"
    ask = {"Authorization": f"Bearer {token['id_token']}"}
    assert client.session.get(f"{client.issuer}/userinfo", headers=ask, timeout=10).status_code == 401


def test_that_the_certificate_endpoint_takes_nothing_but_a_good_access_token(
        demo_facility: DemoFacility, client: Client) -> None:
    token = signed_in(demo_facility, client)
    assert client.session.get(f"{client.ca}/sign", timeout=10).status_code == 401
    head, body, mark = token["access_token"].split(".")
    wrong = (f"{head}.{body}.{mark[::-1]}", f"{head}.{body[:-4]}AAAA.{mark}")
    for bad in (token["id_token"], token["refresh_token"], *wrong):
        assert client.sign(bad).status_code == 500
    assert "not an SSH public key" in client.sign(token["access_token"]).json()["message"]


def test_that_a_person_without_account_gets_no_certificate(demo_facility: DemoFacility, client: Client) -> None:
    answer = client.sign(signed_in(demo_facility, client, "nora")["access_token"])
    assert answer.status_code == 500
    assert "Nora Weiss has no account" in answer.json()["message"]


# --- nobody else can approve -------------------------------------------------------------------------------------


def form_of(client: Client, code: dict[str, Any]) -> dict[str, str]:
    page = client.session.get(code["verification_uri_complete"], timeout=10).text
    mark = 'name="form_token" value="'
    return {"form_token": page.split(mark)[1].split('"')[0], "user_code": code["user_code"], "person": "ada"}


def send(client: Client, fields: dict[str, str], **headers: str) -> requests.Response:
    return client.session.post(f"{client.issuer}/device", data=fields, headers=headers, timeout=10)


def test_that_nobody_approves_without_the_pin(client: Client) -> None:
    code = client.device()
    form = form_of(client, code)
    send(client, form | {"action": "approve"})
    answer = send(client, form | {"action": "sign_in", "pin": ""})
    assert (answer.status_code, "not the demo PIN" in answer.text) == (403, True)
    send(client, form | {"action": "approve", "pin": "00000000"})
    assert client.poll(code["device_code"])["error"] == "authorization_pending"


def test_that_another_browser_cannot_use_the_pin_that_was_typed_here(
        demo_facility: DemoFacility, client: Client) -> None:
    robot = demo_facility.robot()
    robot.approve(client.device()["verification_uri_complete"])
    code = client.device()
    send(client, form_of(client, code) | {"action": "approve"})
    assert client.poll(code["device_code"])["error"] == "authorization_pending"


@pytest.mark.parametrize("change", ["no token", "other token", "foreign origin", "null origin", "cross-site"])
def test_that_a_form_from_elsewhere_is_refused(demo_facility: DemoFacility, client: Client, change: str) -> None:
    code = client.device()
    form = form_of(client, code)
    headers = {}
    if change == "no token":
        del form["form_token"]
    elif change == "other token":
        form["form_token"] = "0" * 64
    elif change == "cross-site":
        headers = {"Sec-Fetch-Site": "cross-site"}
    else:
        headers = {"Origin": "https://evil.example" if change == "foreign origin" else "null"}
    answer = send(client, form | {"action": "sign_in", "pin": demo_facility.pin}, **headers)
    assert answer.status_code == 403
    assert "This form is not ours" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "evil.example:443", ""])
def test_that_another_host_name_is_refused(client: Client, host: str) -> None:
    for url in (f"{client.issuer}/.well-known/openid-configuration", f"{client.ca}/health"):
        answer = client.session.get(url, headers={"Host": host}, timeout=10)
        assert answer.status_code == 421
    assert client.session.get(f"{client.ca}/health", timeout=10).status_code == 200


def test_that_pages_cannot_be_framed_scripted_or_cached(client: Client) -> None:
    answer = client.session.get(client.device()["verification_uri_complete"], timeout=10)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("__Host-", "Secure", "HttpOnly", "SameSite=Strict"))


def test_that_what_was_typed_is_shown_as_text(client: Client) -> None:
    answer = client.session.get(f"{client.issuer}/device", params={"user_code": '"><script>x'}, timeout=10)
    assert "<script" not in answer.text


def test_that_too_much_is_not_read(client: Client) -> None:
    answer = client.session.post(f"{client.issuer}/token", data={"x": "y" * 100_000}, timeout=10)
    assert answer.status_code == 413


def test_that_guessing_the_pin_is_slowed_down() -> None:
    pin = Pin("12345678")
    assert pin.check("1234 5678")
    assert not any(pin.check(f"{n:08d}") for n in range(6))
    assert pin.blocked
    assert not pin.check("12345678")
