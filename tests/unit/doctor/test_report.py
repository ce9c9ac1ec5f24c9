"""The report: its sentence, its text, its object, and what it must not hold."""

from __future__ import annotations

import json

from app.model.doctor import Step, StepState
from app.model.site import SiteProfile, SshSettings
from app.remote.doctor import report

PROFILE = SiteProfile("far", "Far Light Source", contact="mailto:help@far.example", verified="doc: far.example",
                      ssh=SshSettings("login.far.example", 2222, "ada"))
STEPS = (Step("name", "Address", StepState.PASSED, "Fine.", seconds=0.01),
         Step("login", "Login", StepState.FAILED, "login.far.example did not let ada in.", "key: refused",
              "Ask the facility.", 1.5, "login_refused", "Tell them."),
         Step("agent", "Agent", StepState.SKIPPED, "Not looked at."))


def test_that_the_sentence_says_what_failed_where_when_and_for_whom() -> None:
    text = report.sentence_of(PROFILE, STEPS[1], 0.0)
    for word in ("1970-01-01 00:00 UTC", "Far Light Source", "login.far.example, port 2222", "user “ada”", "Beamside ",
                 "“Login”", "did not let ada in."):
        assert word in text
    assert text.endswith(".")
    assert "\n" not in text


def test_that_the_text_holds_steps_profile_with_sources_and_versions() -> None:
    found = report.make_report(PROFILE, STEPS, 0.0)
    assert found.sentence == "Tell them."
    text = report.as_text(found)
    assert text.splitlines()[3] == "Tell them."
    assert "✗ Login: login.far.example did not let ada in.  [1.50 s]\n" in text
    assert "\n      key: refused\n    → Ask the facility." in text
    assert "ssh.host = login.far.example   (doc: far.example)" in text
    assert "paramiko " in text
    assert "– Agent: Not looked at." in text


def test_that_the_object_is_json_and_its_code_that_of_what_failed_first() -> None:
    found = report.make_report(PROFILE, STEPS, 0.0)
    value = json.loads(json.dumps(report.as_json(found)))
    assert value["healthy"] is False
    assert [step["state"] for step in value["steps"]] == ["passed", "failed", "skipped"]
    assert value["profile"]["ssh.user"] == {"value": "ada", "source": "doc: far.example"}
    assert report.exit_code(found) == 5
    assert report.exit_code(report.make_report(PROFILE, STEPS[:1], 0.0)) == 0
    assert report.make_report(PROFILE, STEPS[:1], 0.0).sentence == ""


def test_that_an_examination_that_was_given_up_says_so() -> None:
    assert "ended before it was complete" in report.as_text(report.make_report(PROFILE, STEPS, 0.0, complete=False))
