"""What a person is told whose computer lacks the library that Moonshot needs, or who names no identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.remote.moonshot.refusals import NotAvailableError
from app.remote.sites import Sites
from tests.peers.interaction import FakePerson
from tests.peers.moonshot import GssSshd, MoonshotFacility


def test_that_a_computer_without_libgssapi_is_told_before_any_question(
        moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libgssapi_krb5.so.2").touch()      # found first, and no library
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    before, person = moonshot_sshd.log, FakePerson()
    with pytest.raises(NotAvailableError, match="needs the Moonshot mechanism") as caught:
        Sites((moonshot_site.profile(moonshot_sshd),)).transport("moon", person)
    assert "moonshot-gss-eap" in caught.value.remedy
    assert "libgssapi_krb5.so.2" in caught.value.detail
    assert person.prompts == []
    assert moonshot_sshd.log == before, "no connection was made"


def test_that_an_empty_identity_is_asked_again_in_words(moonshot_site: MoonshotFacility,
                                                        moonshot_sshd: GssSshd) -> None:
    person = FakePerson(answers=[["", "correct horse"], ["alice@facility.example", "correct horse"]])
    Sites((moonshot_site.profile(moonshot_sshd),)).transport("moon", person).close()
    notices = [instructions.splitlines()[0] for _, instructions, _ in person.prompts]
    assert len(notices) == 2
    assert notices[1] == "An identity looks like name@institution, for example alice@university.example."
