"""What is said once a sign-in has been answered, and not before."""

from __future__ import annotations

import pytest

from app.commands.context import TerminalInteraction
from app.commands.output import Output
from app.errors import CancelledByUserError, SignInError
from app.remote.signin.oidc import OidcSession
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring

ANSWERED = "The sign-in at here was answered."


def test_that_an_answer_with_a_code_is_told(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    person = FakePerson()
    OidcSession("here", provider.settings()).sign_in(person)
    assert person.said.count(ANSWERED) == 1


def test_that_an_answer_in_the_browser_is_told(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    def answer(page: str) -> None:
        browse(page, provider.pki.ca)
    person = FakePerson(way="browser", on_page=answer)
    OidcSession("here", provider.settings()).sign_in(person)
    assert person.said.count(ANSWERED) == 1


def test_that_nobodys_answer_is_none(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    provider.forced["/token"] = [(400, {"error": "expired_token"})]
    late, gone = FakePerson(), FakePerson(on_code=lambda _code: gone.cancelled.set())
    with pytest.raises(SignInError):
        OidcSession("here", provider.settings()).sign_in(late)
    provider.approved = False
    with pytest.raises(CancelledByUserError):
        OidcSession("here", provider.settings()).sign_in(gone)
    assert ANSWERED not in late.said + gone.said


def test_that_a_terminal_says_nothing_where_a_page_or_code_has_had_its_day(capsys: pytest.CaptureFixture[str]) -> None:
    person = TerminalInteraction(Output(as_json=False))
    person.device_code_settled("here")
    person.browser_settled("here")
    told = capsys.readouterr()
    assert told.out + told.err == ""
