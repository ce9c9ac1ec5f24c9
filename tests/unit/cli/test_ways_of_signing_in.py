"""What the terminal says of the two ways to sign in."""

from __future__ import annotations

import webbrowser

import pytest

from app.commands.context import TerminalInteraction
from app.commands.output import Output
from app.commands.pages import open_page

PAGE = "https://login.example/auth?state=s"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to open."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return addresses


def test_that_a_terminal_without_a_screen_opens_no_browser(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_page(PAGE)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert open_page(PAGE)
    assert opened == [PAGE]


def test_that_a_browser_that_fails_is_none(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_address: str) -> bool:
        raise webbrowser.Error("no browser")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", fail)
    assert not open_page(PAGE)


def test_that_the_code_is_named_only_where_there_is_one(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    person = TerminalInteraction(Output(as_json=False))
    person.way = "browser"
    assert person.choose_way("here", ("browser", "code")) == "browser"
    person.show_browser("here", PAGE)
    assert "elsewhere, use sign-in --code" in capsys.readouterr().err
    assert person.choose_way("here", ("browser",)) == "browser"
    person.show_browser("here", PAGE)
    told = capsys.readouterr().err
    assert PAGE in told
    assert "--code" not in told


def test_that_a_way_that_is_not_offered_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    person = TerminalInteraction(Output(as_json=False))
    assert person.choose_way("here", ("browser",)) == "browser"
    assert "here offers no sign-in with a code, but one in the browser." in capsys.readouterr().err
    assert person.choose_way("here", ()) is None
