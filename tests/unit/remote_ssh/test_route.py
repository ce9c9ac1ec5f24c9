"""Which servers a connection goes through: what the profile says, what the configuration adds, what is refused."""

from __future__ import annotations

import getpass
from typing import Any

import pytest

from app.errors import UsageError
from app.model.site import SiteProfile, SshSettings
from app.remote.ssh.route import plan, with_jump
from tests.unit.remote_ssh.test_ssh_config import write


def profile(host: str, *hops: SshSettings, **changes: Any) -> SiteProfile:
    return SiteProfile("here", ssh=SshSettings(host, hops=hops, **changes))


def way(site: SiteProfile) -> list[tuple[str, str, int]]:
    return [(stop.user, stop.host, stop.port) for stop in plan(site)]


def test_that_an_alias_stands_for_what_the_configuration_says() -> None:
    write("Host alias\n  HostName login.site.example\n  Port 2222\n  User ada\n  HostKeyAlias cluster\n")
    stop, = plan(profile("alias"))
    assert (stop.name, stop.host, stop.port, stop.user, stop.key_name) == \
        ("alias", "login.site.example", 2222, "ada", "cluster")


def test_that_the_profile_wins_where_it_says_something() -> None:
    write("Host alias\n  HostName login.site.example\n  Port 2222\n  User ada\n  ProxyJump other\n")
    assert way(profile("alias", SshSettings("hop", 23, "hopper"), port=24, user="grace")) == \
        [("hopper", "hop", 23), ("grace", "login.site.example", 24)]


def test_that_proxy_jumps_are_followed_with_their_own_settings() -> None:
    me = getpass.getuser()
    write("Host first\n  HostName first.example\n  User one\n  ProxyJump zero:99\n"
          "Host second\n  Port 2\n  ProxyJump ignored\n"
          "Host site\n  ProxyJump first,two@second\n")
    assert way(profile("site", user="ada")) == [(me, "zero", 99), ("one", "first.example", 22), ("two", "second", 2),
                                               ("ada", "site", 22)]
    assert [stop.from_profile for stop in plan(profile("site", user="ada"))] == [False, False, False, True]


def test_that_the_first_hop_of_a_profile_may_need_a_jump_of_the_user_s() -> None:
    write("Host bastion\n  ProxyJump home\nHost inner site\n  ProxyJump elsewhere\n")
    assert [host for _, host, _ in way(profile("site", SshSettings("bastion"), SshSettings("inner")))] == \
        ["home", "bastion", "inner", "site"]


def test_that_a_jump_for_every_host_does_not_jump_to_itself() -> None:
    write("Host *\n  ProxyJump bastion\n")
    assert [host for _, host, _ in way(profile("site"))] == ["bastion", "site"]


def test_that_a_circle_is_told() -> None:
    write("Host a\n  ProxyJump b\nHost b\n  ProxyJump c\nHost c\n  ProxyJump a\n")
    with pytest.raises(UsageError, match="leads in a circle: a → b → c → a"):
        plan(profile("a"))


def test_that_a_proxy_command_gets_what_it_asks_for() -> None:
    write("Host alias\n  HostName login.site.example\n  Port 2222\n  User ada\n  ProxyCommand nc %h %p %r %n %%\n")
    assert plan(profile("alias"))[0].command == "nc login.site.example 2222 ada alias %"
    assert plan(profile("alias", SshSettings("hop")))[-1].command == "", "the profile names the way"


@pytest.mark.parametrize("host", ["x;touch /tmp/p", "$(id)", "`id`", "-oProxyCommand=id", "a b", "a\nb", "x|id", "x&",
                                  "'"])
@pytest.mark.parametrize("where", ["host", "user", "hop"])
def test_that_a_profile_cannot_smuggle_a_command_into_the_user_s(host: str, where: str) -> None:
    write("Host *\n  ProxyCommand nc %h %p %r\n")
    site = {"host": profile(host), "user": profile("site", user=host), "hop": profile("site", SshSettings(host))}[where]
    with pytest.raises(UsageError, match=r"cannot be a (host|user) name"):
        plan(site)


def test_that_a_gateway_without_a_host_is_told() -> None:
    with pytest.raises(UsageError, match="a gateway without a host"):
        plan(profile("site", SshSettings()))


def test_that_the_gateway_of_a_certificate_is_used_where_nobody_names_one() -> None:
    stops = with_jump(plan(profile("site")), "bastion.example:2222", "ada.project")
    assert (stops[0].user, stops[0].host, stops[0].port, stops[0].methods) == \
        ("ada.project", "bastion.example", 2222, ("certificate",))
    there = plan(profile("site", SshSettings("hop")))
    assert with_jump(there, "bastion.example", "ada") == there
    with pytest.raises(UsageError, match="a gateway that cannot be used"):
        with_jump(plan(profile("site")), "a b", "ada")


def test_that_literal_addresses_lose_their_brackets() -> None:
    assert [host for _, host, _ in way(profile("[::1]", SshSettings("[fe80::1%lo]")))] == ["fe80::1%lo", "::1"]


def test_that_a_host_that_is_set_up_for_ssh_gets_the_local_user_name_as_ssh_gives_it() -> None:
    write("Host known\n  Port 22\n")
    assert plan(profile("known"))[0].user == getpass.getuser()
    assert plan(profile("unknown"))[0].user == "", "asked"


def test_that_an_account_without_a_name_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert plan(profile("site", user="ada"))[0].user == "ada"
    write("Host known\n  Port 22\n")
    assert plan(profile("known"))[0].user == "", "asked"
