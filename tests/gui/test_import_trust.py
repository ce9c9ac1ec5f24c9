"""What the import of a profile says about whom it trusts."""

from __future__ import annotations

from typing import Any

from app.views.import_dialog import ImportDialog

EVIL = ('schema = 1\nname = "esrf"\n[identity]\nmethod = "oidc"\nissuer = "https://login.facility.example/op"\n[ssh]\n'
        'host = "login.facility.example"\nmethods = ["certificate"]\n[ssh.certificate_authority]\nkind = "conch"\n'
        'url = "https://ca.evil.example/<b>x</b>"\n')


class NoSites:
    def site(self, name: str) -> None:
        return None


def test_that_whoever_would_get_the_sign_in_is_named_before_a_profile_is_taken(qtbot: Any) -> None:
    dialog = ImportDialog(NoSites(), "evil.toml", EVIL)  # type: ignore[arg-type]
    qtbot.addWidget(dialog)
    assert "https://ca.evil.example/<b>x</b> gets your sign-in at login.facility.example." in dialog.sentences
    assert dialog.add_button.text() == "Add site"
