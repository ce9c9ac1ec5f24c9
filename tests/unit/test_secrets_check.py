"""The search for secrets finds them however they are written, and fails the test that tells one."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.checks.secret_places import SecretPlaces
from tests.checks.secrets import Secrets
from tests.peers.sshd import Ed25519PrivateKey, write_private

ROOT = Path(__file__).parents[2]
TOKEN = "v1.uJ8-2kq_Zr+pässwort/9"


def known(value: str | bytes = TOKEN) -> Secrets:
    secrets = Secrets()
    secrets.register(value, "the token")
    return secrets


@pytest.mark.parametrize("written", [
    TOKEN, quote(TOKEN), quote(TOKEN, safe=""), TOKEN.encode().hex(), TOKEN.encode().hex().upper(), json.dumps(TOKEN),
    *(base64.b64encode(before + TOKEN.encode() + b"tail").decode() for before in (b"", b":", b"a:", b"ada:")),
    base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")])
@pytest.mark.parametrize("before", ["", "x", "a longer beginning: "])
def test_that_a_secret_is_found_however_it_is_written(written: str, before: str) -> None:
    assert known().found_in(f"{before}{written}".encode()) == ["the token"]
    assert known().found_in((before + written).encode()[:-12]) == []


def test_that_short_secrets_count_as_words_of_texts_only() -> None:
    secrets = known("123456")
    assert secrets.found_in(b"code 123456, please") == ["the token"]
    assert secrets.found_in(b"after 0.123456 s, id 91234567") == []
    assert secrets.found_in(b"code 123456", words=False) == []
    assert known("word").found_in(b"word") == []


def test_that_a_secret_across_the_pieces_of_a_large_file_is_found() -> None:
    noise = random.Random(1).randbytes(3 << 22)
    for place in ((1 << 22) - 5, (2 << 22) - 13, len(noise) - 40):
        assert known().found_in(noise[:place] + TOKEN.encode() + noise[place:]) == ["the token"]
    assert known().found_in(noise) == []


def test_that_a_key_file_is_known_by_its_lines_and_its_number(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    content = write_private(key, tmp_path / "id").read_bytes()
    secrets = Secrets()
    secrets.register_key(content, "the key")
    assert secrets.found_in(content) == ["the key"]
    assert secrets.found_in(b"number " + key.private_bytes_raw().hex().encode()) == ["the key"]
    assert secrets.found_in(base64.b64encode(content)) == ["the key"]
    assert secrets.found_in(key.public_key().public_bytes_raw() + b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") == []


LEAKS = [
    "logging.getLogger('app.remote').debug('got %s', SECRET)",
    "logging.getLogger('urllib3').debug('GET /?token=' + quote(SECRET))",
    "logging.getLogger('paramiko').debug('', exc_info=(ValueError, ValueError(SECRET), None))",
    "(own_home / '.cache' / 'crash.log').write_text(SECRET)",
    "(own_home / '.config' / 'picture').write_bytes(bytes(100) + base64.b64encode(b':' + SECRET.encode()))",
    "subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv[3])', '-m', 'app', SECRET], stdout=-1)",
    "(own_home / '.local' / 'id').write_text('-----BEGIN OPENSSH PRIVATE KEY-----')",
    "reports.as_text(Report('a', 'A', '', (), f'It said {SECRET}.', 0.0))",
    "print(SECRET)",
    "print(SECRET, file=sys.stderr)",
]


def test_that_tests_that_tell_a_secret_fail_and_others_do_not(tmp_path: Path) -> None:
    said = run_tests(tmp_path, *LEAKS, "(own_home / '.cache' / 'log').write_text(SECRET[:8])",
                     "logging.getLogger('app').info(LATE)", "register(LATE, 'a late one')")
    told = [line for line in said.splitlines() if line.startswith("ERROR")]
    for number, leak in enumerate(LEAKS):
        assert [line for line in told if f"test_{number} - Failed: secrets were told: " in line], (leak, said)
    rest = [line for line in told if "were told: " not in line]
    assert len(told) == len(LEAKS) + 1, said
    assert len(rest) == 1, said
    assert f"test_{len(LEAKS) + 2} - Failed: secrets were told during the run" in rest[0]
    assert "a late one is in the log" in said


def test_that_arguments_and_environments_of_processes_that_beamside_starts_are_seen(tmp_path: Path) -> None:
    places = SecretPlaces(known())
    places.start()
    try:
        for argv, extra in ((["true", TOKEN], {}), (["true"], {"TOKEN": TOKEN})):
            for file, wanted in ((ROOT / "app" / "some.py", 1), (ROOT / "tests" / "some.py", 0)):
                places.begin(tmp_path)
                exec(compile("subprocess.run(argv, env=env, check=True)", str(file), "exec"),
                     {"subprocess": subprocess, "argv": argv, "env": {"PATH": "/usr/bin:/bin", **extra}})
                assert len(places.end()) == wanted
    finally:
        places.close()


def run_tests(folder: Path, *lines: str) -> str:
    """Run one test per line, each with a token that is known as a secret, under this project's conftest."""
    head = ("import base64, logging, subprocess, sys\nfrom urllib.parse import quote\n"
            "from app.model.doctor import Report\nfrom app.remote.doctor import report as reports\n"
            "from tests.checks.secrets import register\nSECRET = 'a-token-' + '4711'\nLATE = 'known-' + 'too-late'\n")
    (folder / "test_it.py").write_text(head + "".join(
        f"\ndef test_{number}(own_home):\n    register(SECRET, 'the token')\n    {line}\n"
        for number, line in enumerate(lines)))
    argv = [sys.executable, "-m", "pytest", "-q", "-n0", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT),
            "--basetemp", str(folder / "base"), "-p", "tests.conftest", str(folder / "test_it.py")]
    done = subprocess.run(argv, cwd=ROOT, timeout=120, capture_output=True, text=True, check=False,
                          env={**os.environ, "COLUMNS": "500"})
    return done.stdout + done.stderr
