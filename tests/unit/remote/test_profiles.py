"""Site profiles: what is read, and the sentence for every fault."""

from __future__ import annotations

import pytest

from app.model.site import IdentityMethod
from app.remote.profiles import ProfileError, parse_profile

GOOD = """
schema = 1
name = "esrf"
title = "ESRF"
[identity]
method = "oidc"
issuer = "https://host/realms/x"
[identity.moonshot]
mechanism = "1.3.6.1.5.5.15.1.1.17"
[ssh]
host = "login.site.example"
[[ssh.hops]]
host = "gate.example"
hold_session = true
[ssh.certificate_authority]
kind = "conch"
url = "https://ca.site.example"
[batch]
system = "slurm"
poll_s = 2
[software.environments]
saxs = "module load pyfai"
"""


def test_that_a_whole_profile_is_read() -> None:
    profile = parse_profile(GOOD, "esrf.toml")
    assert profile.name == "esrf"
    assert profile.identity.method is IdentityMethod.OIDC
    assert profile.ssh.hops[0].hold_session
    assert profile.ssh.certificate_authority is not None
    assert profile.batch.poll_s == 2.0
    assert profile.software.environments == {"saxs": "module load pyfai"}
    assert profile.agent.python == ("python3",)


@pytest.mark.parametrize(("change", "says"), [
    (("schema = 1", "schema = 2"), "schema must be 1"),
    (('name = "esrf"', 'name = "E"'), "name is 'E'"),
    (('name = "esrf"', 'name = "local"'), "name is 'local'"),
    (('name = "esrf"', ""), "name is missing"),
    (("https://host", "http://host"), "identity.issuer"),
    (('method = "oidc"', 'method = "magic"'), "identity.method is 'magic'"),
    (('host = "login.site.example"', "host = 3"), "ssh.host is 3"),
    (('host = "login.site.example"', 'hots = "x"'), "ssh.hots is not a known key"),
    (('host = "login.site.example"', 'host = "x"\nport = 70000'), "ssh.port is 70000"),
    (('host = "login.site.example"', 'host = "x"\nmethods = ["telnet"]'), "ssh.methods names 'telnet'"),
    (('host = "login.site.example"', 'host = "x"\nhost_keys = ["AAAA"]'), "ssh.host_keys has the line"),
    (('system = "slurm"', 'system = "cron"'), "batch.system is 'cron'"),
    (("poll_s = 2", "poll_s = true"), "batch.poll_s is True"),
    (('kind = "conch"', 'kind = "shell"'), "certificate_authority.kind is 'shell'"),
    (('url = "https://ca.site.example"', 'url = ""'), "certificate_authority.url is ''"),
    (('url = "https://ca.site.example"', 'url = "http://ca.site.example"'), "certificate_authority.url is 'http://"),
    (("[batch]", "[batch"), "not valid TOML"),
    (('title = "ESRF"', 'colour = "red"'), "colour is 'red'"),
])
def test_that_a_fault_is_one_sentence_naming_file_and_key(change: tuple[str, str], says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(*change), "esrf.toml")
    assert caught.value.summary.startswith("esrf.toml: ")
    assert says in caught.value.summary
    assert caught.value.remedy


def test_that_only_oinits_address_may_be_left_to_the_name_service() -> None:
    authority = parse_profile(GOOD.replace('kind = "conch"\nurl = "https://ca.site.example"', 'kind = "oinit"'),
                              "esrf.toml").ssh.certificate_authority
    assert authority is not None
    assert (authority.kind, authority.url) == ("oinit", "")
