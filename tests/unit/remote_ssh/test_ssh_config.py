"""The user's SSH configuration, read as OpenSSH itself reads it (``ssh -G``)."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path

import pytest

from app.errors import UsageError
from app.remote.ssh.ssh_config import HostEntry, Jump, config_file, lookup, parse_jump
from tests.peers.need import need_program


def write(text: str, name: str = "config") -> Path:
    file = config_file().parent / name
    file.parent.mkdir(exist_ok=True, mode=0o700)
    file.write_text(text)
    file.chmod(0o600)
    return file


def by_openssh(alias: str, *options: str) -> dict[str, list[str]]:
    ssh = need_program("ssh", "openssh-client")
    out = subprocess.run([ssh, "-G", "-F", str(config_file()), *options, alias], capture_output=True, text=True,
                         check=True).stdout
    found: dict[str, list[str]] = {}
    for line in out.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


EVERYTHING = """
# a comment
Include parts/*.conf   # and one behind
Host jump !never
    HostName=jump.site.example
    Port 2222
    User "ada"
Host *.site.example never
  IdentityFile /keys/site
  identityfile  /keys/site2
  CertificateFile /keys/site-cert.pub
  IdentitiesOnly yes
  ProxyJump ada@jump:2022,second
  ProxyCommand nc %h %p
Host node-?
  ProxyCommand  ssh -W %h:%p "a b"   # this belongs to it
  ProxyJump ignored
Host direct
  ProxyJump none
  HostName %h.other.example
  UserKnownHostsFile /k/one /k/two
  HostKeyAlias the-alias
  AddressFamily inet6
  BindAddress 127.0.0.1
  IdentityAgent none
Match host *.site.example user grace
  Port 443
Match originalhost direct
  User eve
Match exec "touch /tmp/never-run" host *
  User nobody
Match !host direct.other.example localuser {me}
  User somebody
Match final host *.site.example
  Port 4444
Host *
  User fallback
  Port 22222
  IdentityFile /keys/all
"""


@pytest.mark.parametrize(("alias", "options"), [
    ("jump", ()), ("never", ()), ("x.site.example", ()), ("node-1", ()), ("node-12", ()), ("direct", ()),
    ("x.site.example", ("-l", "grace")), ("other", ()), ("part", ()), ("JUMP", ()), ("direct", ("-p", "99")),
])
def test_that_a_host_s_settings_are_those_of_openssh(alias: str, options: tuple[str, ...]) -> None:
    write(EVERYTHING.replace("{me}", getpass.getuser()).replace('exec "touch /tmp/never-run"', "user no-such"))
    (config_file().parent / "parts").mkdir()
    write("Host part\n  HostName included.example\n  User pat\n", "parts/a.conf")
    write("  User too-late\nHost part\n  Port 1\n", "parts/b.conf")
    given = dict(zip(options[::2], options[1::2], strict=True))
    entry = lookup(alias, int(given.get("-p", 0)), given.get("-l", ""))
    theirs = by_openssh(alias, *options)
    assert entry.host_name.lower() == theirs["hostname"][0]
    assert str(entry.port or 22) == theirs["port"][0]
    assert entry.user == theirs["user"][0]
    assert [str(file) for file in entry.hints.identity_files] == theirs["identityfile"]
    assert [str(file) for file in entry.hints.certificate_files] == theirs.get("certificatefile", [])
    assert entry.hints.identities_only is (theirs["identitiesonly"] == ["yes"])
    assert entry.proxy_command == theirs.get("proxycommand", [""])[0].replace("none", "")
    jumps = ",".join((f"{jump.user}@" if jump.user else "") + jump.host + (f":{jump.port}" if jump.port else "")
                     for jump in entry.proxy_jump)
    assert jumps == theirs.get("proxyjump", [""])[0].replace("none", "")
    assert entry.family == theirs["addressfamily"][0]
    assert entry.host_key_alias == theirs.get("hostkeyalias", [""])[0]
    assert entry.bind_address == theirs.get("bindaddress", [""])[0]
    assert entry.hints.agent_socket == theirs.get("identityagent", [""])[0]
    if alias == "direct":
        assert " ".join(map(str, entry.known_hosts)) == theirs["userknownhostsfile"][0]


def test_that_no_configuration_says_nothing() -> None:
    folder = Path.home() / ".ssh"
    assert lookup("host") == HostEntry(False, "host", known_hosts=(folder / "known_hosts", folder / "known_hosts2"))


def test_that_no_command_of_a_match_is_run(tmp_path: Path) -> None:
    write(f'Match exec "touch {tmp_path}/ran"\n  User eve\nMatch !exec "touch {tmp_path}/ran"\n  User eve\nUser ada\n')
    assert lookup("host").user == ""
    assert not (tmp_path / "ran").exists()


def test_that_tests_of_a_newer_openssh_do_not_match() -> None:
    write("Match tagged x\n  User eve\nMatch localnetwork 10.0.0.0/8 host *\n  User eve\nHost *\n  User ada\n")
    assert lookup("host").user == "ada"


def test_that_only_a_line_that_names_a_host_makes_it_known() -> None:
    write("Host *\n  User ada\nHost alias *.site.example\n  Port 22\nMatch host third\n  Port 22\n")
    assert [lookup(name).named for name in ("alias", "x.site.example", "third", "other")] == [True, True, True, False]


def test_that_homes_variables_and_tokens_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/k")
    write("IdentityFile ~/.ssh/%r@%h:%p\nIdentityFile ${KEYS}/%n%%\nIdentityAgent $AGENT\nUser ada\n"
          "UserKnownHostsFile none\n")
    entry = lookup("alias", 2222)
    assert entry.hints.identity_files == (Path.home() / ".ssh/ada@alias:2222", Path("/k/alias%"))
    assert entry.hints.agent_socket == "none", "the variable is not there"
    assert entry.known_hosts == ()
    write("IdentityFile none\nIdentityAgent SSH_AUTH_SOCK\n")
    assert lookup("alias").hints.no_keys
    assert lookup("alias").hints.agent_socket == ""


@pytest.mark.parametrize(("text", "sentence"), [
    ("Port ssh", "line 1: Port is a number from 1 to 65535, not “ssh”."),
    ("\nPort 70000", "line 2: Port is a number from 1 to 65535, not “70000”."),
    ("Port", "line 1: Port has no value."),
    ("Host \"a", "line 1: a quotation mark is not closed."),
    ("ProxyJump a b@", "line 1: ProxyJump expects [user@]host[:port], not “b@”."),
    ("ProxyJump a:99999", "line 1: ProxyJump expects [user@]host[:port], not “a:99999”."),
    ("ProxyCommand nc %h %z", "line 1: %z means nothing there."),
    ("IdentitiesOnly maybe", "line 1: IdentitiesOnly is yes or no, not “maybe”."),
    ("AddressFamily ipx", "line 1: AddressFamily is any, inet or inet6, not “ipx”."),
    ("IdentityFile ${NO_SUCH_VARIABLE}/k", "line 1: there is no environment variable NO_SUCH_VARIABLE."),
    ("Match user", "line 1: Match user has no value."),
    ("???", "line 1: this is not a setting."),
    ("Include config", "it includes itself, or too many files include each other."),
])
def test_that_a_line_that_cannot_be_used_is_told_in_one_sentence(text: str, sentence: str) -> None:
    write(text.replace("a b@", "a,b@"))
    with pytest.raises(UsageError) as caught:
        lookup("host")
    assert caught.value.summary.endswith(sentence)
    assert caught.value.summary.startswith(str(config_file()))
    assert caught.value.remedy


def test_that_what_others_may_write_is_not_used() -> None:
    file = write("User eve\n")
    file.chmod(0o620)
    with pytest.raises(UsageError, match="others may write it") as caught:
        lookup("host")
    assert f"chmod go-w {file}" in caught.value.remedy


@pytest.mark.parametrize(("text", "jump"), [
    ("host", Jump("host")), ("ada@host", Jump("host", 0, "ada")), ("ada@site@host:22", Jump("host", 22, "ada@site")),
    ("[::1]:2222", Jump("::1", 2222)), ("ssh://ada@host:2222", Jump("host", 2222, "ada")), ("a b:x", None), ("", None),
    ("host:0", None),
])
def test_that_jumps_are_taken_apart(text: str, jump: Jump | None) -> None:
    assert parse_jump(text) == jump
