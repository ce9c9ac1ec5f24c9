"""The recipes of docs/site-administrators.md, taken out of the page and run against real peers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.errors import HostKeyUnknownError
from app.model.site import IdentityMethod, SiteProfile
from app.remote.profile_text import commands_of
from app.remote.profiles import parse_profile
from app.remote.sites import Sites
from app.remote.ssh.authority.conch import offers
from tests.peers.certificate_endpoint import certificate_endpoint
from tests.peers.interaction import FakePerson
from tests.peers.moonshot_config import sshd_config
from tests.peers.need import need_program
from tests.peers.openid_provider import openid_provider
from tests.peers.pki import make_pki
from tests.peers.sshd import Sshd, UserAuthority, sshd

PAGE = Path(__file__).parents[2] / "docs" / "site-administrators.md"
BLOCKS: dict[str, str] = dict(re.findall(r"^```\w+ ([\w-]+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
KEY = "ssh-ed25519 AAAA…"


def at(text: str, server: Sshd) -> str:
    """A recipe with this server's place instead of the page's."""
    return (text.replace("login.facility.example", "127.0.0.1").replace("port = 22\n", f"port = {server.port}\n")
            .replace("-p 22 ", f"-p {server.port} ").replace(KEY, server.host_key_line))


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def lines(block: str) -> list[str]:
    return BLOCKS[block].strip().splitlines()


def test_that_the_page_has_the_recipes_and_names_tests_that_exist() -> None:
    assert set(BLOCKS) == {"fingerprint", "host-keys", "profile", "client", "sign-in", "sshd-certificates", "by-hand",
                           "conch-answer", "authority", "sshd-motley-cue", "sshd-moonshot", "moonshot"}
    for name in re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)`", PAGE.read_text("utf-8")):
        assert list(PAGE.parents[1].glob(f"tests/*/{name}")), name


def test_that_the_host_key_lines_are_those_to_pin(tmp_path: Path) -> None:
    need_program("ssh-keyscan", "openssh-client")
    with sshd(tmp_path / "sshd") as server:
        found = shell(at(BLOCKS["host-keys"], server), tmp_path).splitlines()
        assert " ".join(server.host_key_line.split()[:2]) in [" ".join(line.split()[:2]) for line in found]
        profile = parse_profile(at(BLOCKS["profile"], server), "x").ssh
        assert profile.host_keys == (server.host_key_line,)


def test_that_the_fingerprint_is_the_one_users_are_asked_about(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        public = tmp_path / "host.pub"
        public.write_text(server.host_key_line + "\n")
        told = shell(BLOCKS["fingerprint"].replace("/etc/ssh/ssh_host_ed25519_key.pub", str(public)), tmp_path)
        person = FakePerson(answers=[[server.user]])
        profile = at(BLOCKS["profile"], server).replace(f'host_keys = ["{server.host_key_line}"]\n', "")
        sites = Sites((parse_profile(profile, "x"),))
        with pytest.raises(HostKeyUnknownError):
            sites.transport("facility", person)
        assert person.keys_asked[0][2] in told


def test_that_a_profile_file_is_taken_with_its_commands_shown() -> None:
    profile = parse_profile(BLOCKS["profile"], "x")
    assert commands_of(profile) == [("agent.python", "module load python && python3")]
    assert profile.contact == "helpdesk@facility.example"


def test_that_a_key_signed_by_hand_opens_a_server_with_the_two_lines(tmp_path: Path, own_home: Path) -> None:
    need_program("ssh-keygen", "openssh-client")
    folder = tmp_path / "ca"
    folder.mkdir()
    options = [line.replace("/etc/ssh/user_ca.pub", str(folder / "user_ca.pub")) for line in lines("sshd-certificates")]
    with sshd(tmp_path / "sshd", options=options) as server:
        shell(f'USER="{server.user}"\n{BLOCKS["by-hand"]}', folder)
        (own_home / ".ssh").mkdir(mode=0o700)
        for name in ("id_ed25519", "id_ed25519-cert.pub"):
            (own_home / ".ssh" / name).write_bytes((folder / name).read_bytes())
            (own_home / ".ssh" / name).chmod(0o600)
        text = at(BLOCKS["profile"], server).replace("[ssh]\n", f'[ssh]\nuser = "{server.user}"\n')
        profile = parse_profile(text, "x")
        transport = Sites((profile,)).transport("facility", FakePerson())
        try:
            assert transport.run(["id", "-un"]).text.strip() == server.user
        finally:
            transport.close()
        assert "Accepted certificate ID" in server.log


def test_that_issuer_authority_and_profile_of_the_page_lead_from_a_sign_in_to_a_shell(tmp_path: Path) -> None:
    """A real provider with the page's client, the page's sshd lines, an authority that speaks conch's shape."""
    need_program("node", "nodejs")
    pki = make_pki(tmp_path / "pki")
    client: dict[str, Any] = json.loads(BLOCKS["client"])
    with openid_provider(pki, client=client) as provider:
        authority = UserAuthority()
        options = [line.replace("/etc/ssh/user_ca.pub", str(tmp_path / "sshd" / "user_ca.pub"))
                   for line in lines("sshd-certificates")]
        with sshd(tmp_path / "sshd", authority=authority, options=options) as server, \
                certificate_endpoint(provider, authority, {"alice": server.user}, f"127.0.0.1:{server.port}") as url:
            text = ('schema = 1\nname = "facility"\n' + BLOCKS["sign-in"] + at(BLOCKS["authority"], server)) \
                .replace("https://issuer.facility.example/op", provider.issuer) \
                .replace("https://ca.facility.example", url).replace('ca_file = ""', f'ca_file = "{pki.ca}"')
            file = tmp_path / "facility.toml"
            file.write_text(text, "utf-8")
            sites = Sites()
            sites.add(file)
            person = FakePerson(on_code=provider.approve)
            transport = sites.transport("facility", person)
            try:
                assert transport.run(["id", "-un"]).text.strip() == server.user
            finally:
                transport.close()
            assert len(person.codes) == 1
            assert person.prompts == []
            identity = sites.identity("facility")
            assert identity is not None
            assert identity.subject == "alice"
            sites.sign_out("facility")


def test_that_the_answer_of_the_page_is_understood() -> None:
    class Web:
        """Answers what the page says."""

        def json(self, method: str, url: str, **more: Any) -> Any:
            assert (method, url) == ("GET", "https://ca.facility.example/sign")
            return json.loads(BLOCKS["conch-answer"])

    class Wish:
        url = "https://ca.facility.example"
        public_line = KEY

        def access_token(self) -> str:
            return "token"

    offer = offers(Web(), Wish())[0]  # type: ignore[arg-type]    # only what it asks of them
    assert (offer.user, offer.host) == ("ada", "login.facility.example")


def test_that_the_moonshot_lines_are_those_the_tests_of_moonshot_run_with(tmp_path: Path) -> None:
    configuration = sshd_config(tmp_path, 22, ()).splitlines()
    assert all(line in configuration for line in lines("sshd-moonshot"))


def test_that_the_motley_cue_lines_are_those_its_tests_run_with() -> None:
    peer = (Path(__file__).parents[1] / "peers" / "pam_sshd.py").read_text("utf-8")
    assert all(f'"{line}"' in peer for line in lines("sshd-motley-cue"))


def test_that_a_moonshot_profile_is_good_once_the_certificate_is_in_it(tmp_path: Path) -> None:
    text = 'schema = 1\nname = "facility"\n' + BLOCKS["moonshot"].replace(
        "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n", Path(make_pki(tmp_path).ca).read_text("utf-8"))
    profile: SiteProfile = parse_profile(text, "x")
    assert profile.identity.method is IdentityMethod.MOONSHOT
    assert profile.ssh.methods[0] == "gssapi"
