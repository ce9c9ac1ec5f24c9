"""One refresh token in a real gnome-keyring, shared by several programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.need import need_program
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import make_pki
from tests.peers.secret_service import secret_service

ROOT = Path(__file__).parent.parent.parent


class Programs:
    """Starts programs that share one keyring, one provider and one state directory."""

    def __init__(self, environment: dict[str, str], settings: Path) -> None:
        self.environment = environment
        self._settings = settings

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        action, *rest = arguments
        argv = [sys.executable, "-m", "tests.peers.signin_program", action, str(self._settings), *rest]
        return subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str) -> dict[str, Any]:
        return answer(self.start(*arguments))


def answer(program: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OpenIdProvider]:
    with openid_provider(make_pki(tmp_path / "pki"), access_token_s=600) as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path, provider: OpenIdProvider) -> Iterator[Programs]:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"issuer": provider.issuer, "ca_file": str(provider.pki.ca)}))
    with secret_service(tmp_path / "home") as environment:
        yield Programs(environment, settings)


def secrets_in(programs: Programs) -> str:
    """What the keyring holds for Beamside, asked without Beamside."""
    code = """
import keyring, secretstorage
print(keyring.get_keyring().name)
items = secretstorage.get_default_collection(secretstorage.dbus_init()).get_all_items()
print([item.get_attributes().get("username") for item in items])
"""
    result = subprocess.run([sys.executable, "-c", code], env=programs.environment, capture_output=True, text=True,
                            check=True, timeout=60)
    return result.stdout


def test_that_a_sign_in_is_kept_shared_and_forgotten(programs: Programs, provider: OpenIdProvider) -> None:
    first = programs.run("sign-in")
    assert first["codes"] == 1
    assert first["identity"]["kept"] is True
    held = secrets_in(programs)
    assert "SecretService" in held
    assert f"{provider.issuer} beamside" in held

    second = programs.run("sign-in")
    assert second["codes"] == 0, "the second program needs nobody"
    assert programs.run("who")["identity"]["subject"] == "alice"

    assert programs.run("sign-out") == {"revoked": True}
    assert programs.run("who")["identity"] is None
    assert "beamside" not in secrets_in(programs)


def test_that_programs_that_renew_at_once_do_not_void_the_session(programs: Programs, provider: OpenIdProvider) -> None:
    programs.run("sign-in")
    running = [programs.start("renew", "6") for _ in range(3)]
    assert [answer(program) for program in running] == [{"tokens": 6}] * 3
    assert programs.run("renew", "1") == {"tokens": 1}
    assert provider.count("/token") == 1 + 3 * 6 + 1


def test_that_windows_that_renew_in_turn_use_each_others_newest_token(programs: Programs) -> None:
    programs.run("sign-in")
    windows = [programs.start("renew-when-told") for _ in range(2)]
    for turn in range(1, 4):
        for window in windows:
            assert renewals(window) == turn
    for window in windows:
        window.communicate(timeout=60)


def test_that_a_program_killed_between_renewals_costs_nothing(programs: Programs) -> None:
    programs.run("sign-in")
    doomed = programs.start("renew-when-told")
    assert renewals(doomed) == 1
    doomed.kill()
    doomed.communicate()
    assert programs.run("renew", "2") == {"tokens": 2}
    assert programs.run("who")["identity"]["subject"] == "alice"


def renewals(window: subprocess.Popen[str]) -> int:
    """Tell a program to renew once more; how often it has."""
    assert window.stdin is not None
    assert window.stdout is not None
    window.stdin.write("renew\n")
    window.stdin.flush()
    return int(window.stdout.readline())


def test_that_a_program_without_a_bus_says_why_nothing_is_kept(programs: Programs) -> None:
    need_program("dbus-run-session", "dbus")
    programs.environment.pop("DBUS_SESSION_BUS_ADDRESS")
    result = programs.run("who")
    assert result["identity"] is None
    assert "no keyring" in result["why_not_kept"]
