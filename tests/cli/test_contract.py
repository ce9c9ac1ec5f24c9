"""What docs/cli.md says of every command: standard output, errors, exit codes, interruption, its own folders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from app import cli
from tests.cli.running import InProcess, Shell, finished
from tests.peers.need import missing
from tests.peers.ports import free_port

LATER = ("doctor",)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with one dataset, ``/a``."""
    return write_small(tmp_path / "small.h5")


def write_small(path: Path | str | bytes, value: int = 1) -> Path:
    with h5py.File(path, "w") as file:
        file["a"] = np.full((2, 3), value)
    return Path(os.fsdecode(path))


@pytest.fixture
def silent_site(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """A site whose server accepts connections and says nothing: its profile and the listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield write_site(tmp_path / "silent.toml", server.getsockname()[1]), server


def write_site(path: Path, port: int, name: str = "silent") -> Path:
    path.write_text(f'schema = 1\nname = "{name}"\ntitle = "Silent"\nverified = "test"\n[identity]\nmethod = "none"\n'
                    f'[ssh]\nhost = "127.0.0.1"\nport = {port}\nuser = "ada"\n', encoding="utf-8")
    return path


# --- standard output and errors ---

def test_that_help_lists_what_there_is_and_nothing_of_what_is_to_come(shell: Shell) -> None:
    done = shell("--help")
    assert done.code == 0
    assert done.err == ""
    for command in ("ls", "tree", "plot", "get", "sites", "sign-in", "sign-out", "recipes", "submit", "jobs", "job",
                    "cancel", "facility", "demo"):
        assert f"\n    {command} " in done.out
    for name in LATER:
        if f"\n    {name} " not in done.out:
            assert shell(name, "x", "--json").error["kind"] == "usage"


def test_that_the_installed_command_is_the_same_program(shell: Shell, small: Path) -> None:
    beamside = Path(sys.prefix) / "bin" / "beamside"
    if not beamside.exists():
        missing("the installed command beside this Python")
    shell.program = (str(beamside),)
    assert [n["path"] for n in shell("tree", str(small), "--json").value["nodes"]] == ["/", "/a"]


def test_that_the_result_is_on_standard_output_and_nothing_else_is(shell: Shell, small: Path) -> None:
    done = shell("tree", str(small), "--json")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert done.value["file"] == str(small)
    text = shell("tree", str(small))
    assert (text.code, text.err) == (0, "")
    assert "int64" in text.out


def test_that_an_error_is_one_object_or_two_lines(shell: Shell, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.h5")
    done = shell("tree", missing, "--json")
    assert done.code == 3
    assert done.error["kind"] == "not_found"
    assert done.err == ""
    text = shell("tree", missing)
    assert text.code == 3
    assert text.out == ""
    lines = text.err.splitlines()
    assert lines[0].endswith(done.error["summary"])
    assert lines[1:] == [line for line in (done.error["remedy"],) if line]
    debug = shell("tree", missing, "--debug", "--json")
    assert debug.error == done.error
    assert "Traceback" in debug.err


@pytest.mark.parametrize("argv", [
    ["frobnicate"], ["ls", "a", "b"], ["tree"], ["get", "x.h5"], ["get", "x.h5", "-o", "o.npy", "--reduce", "median"],
    ["get", "x.h5", "-o", "o.npy", "--fit", "3"], ["get", "x.h5", "-o", "o.npy", "--fit", "0x5"],
    ["get", "x.h5", "-o", "o.npy", "--fit", "-1x5"], ["tree", "x.h5", "--depth", "-1"],
    ["tree", "x.h5", "--depth", "all"],
    ["submit", "azimuthal"], ["submit", "azimuthal", "x.h5", "--time", "soon"],
    ["submit", "azimuthal", "x.h5", "--set", "k"],
    ["job"], ["sites", "frob"], ["sites", "add"], ["sign-in"], ["facility"], ["facility", "stop"], ["ls", "--nonsense"],
    ["--accept-host-key"], ["open"],
])
def test_that_wrong_usage_is_exit_code_2(run: InProcess, argv: list[str], tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_small("x.h5")
    assert run.fails(2, *argv)["kind"] == "usage"


@pytest.mark.parametrize("option", ["nonsense", "nonsense=3", "minute_s=soon"])
def test_that_a_facility_knows_its_options(shell: Shell, tmp_path: Path, option: str) -> None:
    done = shell("facility", "start", "--state", str(tmp_path), "--option", option, "--json")
    assert done.code == 2
    assert done.error["kind"] == "usage"


def test_that_a_bug_is_exit_code_1_and_no_traceback(run: InProcess, monkeypatch: pytest.MonkeyPatch,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("a bug")
    monkeypatch.setattr(cli, "Sites", broken)
    error = run.fails(1, "ls")
    assert error["kind"] == "internal"
    assert "a bug" in error["detail"]
    assert cli.main(["ls"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert cli.main(["ls", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_that_no_connection_is_exit_code_4(shell: Shell, tmp_path: Path) -> None:
    port = free_port()
    assert shell("sites", "add", str(write_site(tmp_path / "s.toml", port)), "--json").code == 0
    done = shell("ls", "silent:", "--json")
    assert done.code == 4
    assert done.error["kind"] == "unreachable"


def test_that_a_sign_in_that_cannot_be_is_exit_code_5(shell: Shell, tmp_path: Path) -> None:
    port = free_port()
    profile = tmp_path / "s.toml"
    profile.write_text(f'schema = 1\nname = "nobody"\ntitle = "N"\nverified = "test"\n[identity]\nmethod = "oidc"\n'
                       f'issuer = "https://127.0.0.1:{port}/"\nclient_id = "beamside"\n[ssh]\nhost = "127.0.0.1"\n',
                       encoding="utf-8")
    assert shell("sites", "add", str(profile), "--json").code == 0
    assert shell("sign-in", "nobody", "--json").error["kind"] == "provider"
    assert shell("sign-in", "nobody", "--json").code == 5
    assert shell("ls", "nobody:", "--json").code == 5


# --- interruption ---

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_that_an_interrupted_command_says_so_and_ends(shell: Shell, silent_site: tuple[Path, socket.socket],
                                                      number: signal.Signals) -> None:
    profile, server = silent_site
    assert shell("sites", "add", str(profile), "--json").code == 0
    process = shell.start("ls", "silent:", "--json")
    connection, _ = server.accept()   # it waits for the server's greeting now
    with connection:
        process.send_signal(number)
        done = finished(process, 10)     # far below the time a silent server is given
    assert done.code == 130
    assert done.error["kind"] == "cancelled"
    assert all(json.loads(line)["event"] == "progress" for line in done.err.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_ctrl_c_in_a_long_read_leaves_nothing(shell: Shell, tmp_path: Path, number: signal.Signals) -> None:
    big = tmp_path / "big.h5"
    with h5py.File(big, "w") as file:
        file.create_dataset("a", shape=(40000, 1000, 1000), dtype="u2", chunks=(1, 1000, 1000))
    out = tmp_path / "out"
    out.mkdir()
    process = shell.start("get", f"{big}::/a", "--fit", "10x10", "-o", str(out / "o.npy"), "--json",
                          start_new_session=True)
    _until(process, lambda: list(out.iterdir()))   # half written
    os.killpg(process.pid, number)   # as a terminal does: to everyone in the foreground
    done = finished(process, 15)
    assert (done.code, done.error["kind"]) == (130, "cancelled")
    assert "Traceback" not in done.err
    assert list(out.iterdir()) == []


def _until(process: subprocess.Popen[bytes], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_that_a_reader_that_goes_away_is_no_error(shell: Shell, tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"a file with quite a long name {number}").touch()
    read_end, write_end = os.pipe()
    process = shell.start("ls", str(tmp_path), stdout=write_end)
    os.close(write_end)
    os.close(read_end)
    done = finished(process)
    assert "Traceback" not in done.err
    assert "BrokenPipe" not in done.err


def test_that_a_result_that_cannot_be_written_is_told(shell: Shell, small: Path) -> None:
    if not Path("/dev/full").exists():
        missing("/dev/full")
    with open("/dev/full", "wb") as full:
        done = shell("tree", str(small), "--json", stdout=full)
        assert (done.code, json.loads(done.err)["error"]["kind"]) == (3, "storage_full")


def test_that_closed_streams_are_left_alone(shell: Shell, small: Path) -> None:
    def close_errors() -> None:
        os.close(2)

    done = shell("tree", str(small.with_name("no.h5")), stderr=None, preexec_fn=close_errors)
    assert (done.code, done.out) == (3, "")
    for number in (0, 1):
        assert shell("tree", str(small), preexec_fn=partial(os.close, number)).code == 0


@pytest.mark.parametrize("command", [["tree"], ["plot"], ["get", "-o", "/dev/null"]])
def test_that_a_poor_terminal_gets_escapes(shell: Shell, small: Path, command: list[str]) -> None:
    env = shell.environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    done = shell(*command, str(small), env=env)
    assert done.code == 0
    assert done.out.isascii()
    assert "\\xd7" in done.out


# --- folders of its own ---

def test_that_configuration_follows_xdg_environment_and_option_in_this_order(shell: Shell, tmp_path: Path) -> None:
    xdg, env, option = (tmp_path / name for name in ("xdg", "env", "option"))

    def add(name: str, *argv: str, **variables: str) -> None:
        profile = write_site(tmp_path / f"{name}.toml", 22, name)
        done = shell("sites", "add", str(profile), *argv, "--json", env=shell.environment(**variables))
        assert done.code == 0, done

    add("first", XDG_CONFIG_HOME=str(xdg))
    add("second", XDG_CONFIG_HOME=str(xdg), BEAMSIDE_CONFIG_DIR=str(env))
    add("third", "--config", str(option), XDG_CONFIG_HOME=str(xdg), BEAMSIDE_CONFIG_DIR=str(env))
    assert [p.name for p in sorted(xdg.rglob("*.toml"))] == ["first.toml"]
    assert xdg in next(xdg.rglob("*.toml")).parents
    assert [p.name for p in env.rglob("*.toml")] == ["second.toml"]
    assert [p.name for p in option.rglob("*.toml")] == ["third.toml"]
    names = {s["name"] for s in shell("sites", "--json", "--config", str(option)).value["sites"]}
    assert "third" in names
    assert not {"first", "second"} & names
    assert names == {s["name"] for s in shell("--config", str(option), "--json", "sites").value["sites"]}


def test_that_the_home_folder_stays_clean(shell: Shell, small: Path, tmp_path: Path) -> None:
    home = tmp_path / "bare"
    home.mkdir()
    env = shell.environment(HOME=str(home), XDG_CONFIG_HOME=None, XDG_CACHE_HOME=None, XDG_STATE_HOME=None)
    assert shell("tree", str(small), "--json", env=env).code == 0
    assert {p.name for p in home.iterdir()} <= {".cache", ".config", ".local"}
