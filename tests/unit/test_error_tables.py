"""Which test produces each row of the error tables: what the provider and msal do, and what Moonshot does.

The rows are those of the design notes on sign-in (1.4) and on Moonshot (6), the places ``file::test[case]``. The tests
are real ones, mostly of tests/system; this one fails if any of them is gone or has another name.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
_ERRORS, _ATTACKS = "system/test_signin_errors.py::", "system/test_attacks_on_signin.py::"
_REFUSALS, _SIGN_IN = "system/test_moonshot_refusals.py::", "system/test_moonshot_sign_in.py::"
_PATCHED, _MISSING = "optional/test_moonshot_patched.py::", "system/test_moonshot_missing.py::"
_FAULT = _REFUSALS + "test_that_each_fault_has_its_sentence"

SIGN_IN = {
    "the code expired at the provider": [_ERRORS + "test_a_code_that_nobody_approved[the provider]"],
    "nobody answered, our clock": [_ERRORS + "test_a_code_that_nobody_approved[our clock]"],
    "the person refused, both ways": [_ERRORS + "test_a_refusal"],
    "slow_down": [_ERRORS + "test_being_told_to_slow_down_is_said_to_nobody"],
    "the network is down": [_ERRORS + "test_a_network_that_vanishes_while_a_code_waits_and_comes_back",
                            _ERRORS + "test_a_network_that_is_away_from_the_start",
                            _ERRORS + "test_a_network_that_is_away_when_the_browsers_code_is_traded"],
    "a private or inspecting authority": [_ERRORS + "test_a_certificate_of_an_unknown_authority"],
    "no such name": [_ERRORS + "test_an_address_that_cannot_be_found"],
    "discovery is not found, or no JSON": [_ERRORS + "test_an_address_where_no_provider_is",
                                           _ERRORS + "test_an_answer_that_is_no_discovery"],
    "discovery fails with 5xx": [_ERRORS + "test_a_provider_that_is_down"],
    "discovery lacks a member": [_ERRORS + "test_a_discovery_that_lacks_something"],
    "another issuer": [_ERRORS + "test_a_provider_by_another_name",
                       _ATTACKS + "test_that_a_provider_by_another_name_is_refused_with_both_names"],
    "an unknown client or scope": [_ERRORS + "test_a_client_that_is_not_registered",
                                   _ERRORS + "test_a_wish_that_is_not_allowed"],
    "the refresh token is revoked": [_ERRORS + "test_a_sign_in_that_was_revoked"],
    "another state": [_ATTACKS + "test_that_an_answer_with_another_state_keeps_it_waiting"],
    "a code is used twice": [_ATTACKS + "test_that_a_code_cannot_be_used_twice"],
    "the clock is wrong": [_ERRORS + "test_a_clock_that_is_wrong"],
}

MOONSHOT = {
    "wrong password": [_FAULT + "[wrong password]", _SIGN_IN + "test_that_a_wrong_password_can_be_mended"],
    "unknown identity": [_FAULT + "[unknown identity]"],
    "suspended": [_FAULT + "[suspended]"],
    "RADIUS certificate refused": [_SIGN_IN + "test_that_another_radius_server_never_gets_the_password[another pin]",
                                   _SIGN_IN + "test_that_another_radius_server_never_gets_the_password[another CA]",
                                   _SIGN_IN + "test_that_another_radius_server_never_gets_the_password[another name]"],
    "RADIUS down": [_FAULT + "[RADIUS down]"],
    "RadSec down": [_FAULT + "[federation down]"],
    "identity without realm": [_SIGN_IN + "test_that_a_wrong_password_can_be_mended"],
    "empty identity": [_MISSING + "test_that_an_empty_identity_is_asked_again_in_words"],
    "RADIUS silent": [_REFUSALS + "test_that_a_silent_institution_is_waited_for_in_words_and_can_be_given_up",
                      _REFUSALS + "test_that_a_silence_without_end_is_told",
                      _PATCHED + "test_that_a_silent_radius_server_ends_with_the_facilitys_own_verdict"],
    "realm not routable, provider prohibited": [_FAULT + "[no route]"],
    "the server calls itself something else": [_REFUSALS + "test_that_a_server_with_another_name_is_told"],
    "inner MSCHAPv2 needs the legacy provider": [_SIGN_IN + "test_that_other_alphabets_and_mschapv2_work[mira]"],
    "not mapped to an account": [_FAULT + "[not mapped]",
                                 _PATCHED + "test_that_somebody_without_an_account_is_told_who_they_are"],
    "no such local account": [_REFUSALS + "test_that_an_account_nobody_has_is_told_as_an_offer_that_was_not_made"],
    "stock sshd, without EAP": [_REFUSALS + "test_that_a_server_without_the_mechanism_is_told_alike"],
    "GSSAPI off in sshd": [_REFUSALS + "test_that_a_server_without_gssapi_says_what_it_offers_before_any_question"],
    "no radsec.conf on the server": [_FAULT + "[no radsec.conf]"],
    "radsec.conf names a missing certificate": [_FAULT + "[broken radsec.conf]"],
    "the mechanism is not installed": [
        _REFUSALS + "test_that_a_computer_without_the_mechanism_is_told_before_any_question",
        _REFUSALS + "test_that_other_ways_in_are_named_where_the_mechanism_is_missing"],
    "there is no libgssapi": [_MISSING + "test_that_a_computer_without_libgssapi_is_told_before_any_question",
                              "unit/moonshot/test_trust.py::test_that_a_computer_without_moonshot_is_told_what_to_do"],
    "given up": [_SIGN_IN + "test_that_giving_up_at_the_question_gives_up",
                 "system/test_moonshot_window.py::test_that_a_silent_institution_can_be_given_up_in_the_window"],
    "other alphabets": [_SIGN_IN + "test_that_other_alphabets_and_mschapv2_work[zoë]"],
}


@pytest.mark.parametrize(("row", "tests"), [*SIGN_IN.items(), *MOONSHOT.items()])
def test_that_each_row_is_produced_by_a_test_that_exists(row: str, tests: list[str]) -> None:
    assert tests, row
    for each in tests:
        file, _, name = each.partition("::")
        function, _, case = name.partition("[")
        found = _functions(TESTS / file)
        assert function in found, f"{row}: {each} is gone"
        assert not case or case[:-1] in found[function], f"{row}: the case {case[:-1]!r} of {each} is gone"


@functools.cache
def _functions(file: Path) -> dict[str, frozenset[str]]:
    """The tests of a file, each with the texts in its decorators."""
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name: frozenset(text.value for decorator in node.decorator_list for text in ast.walk(decorator)
                                 if isinstance(text, ast.Constant) and isinstance(text.value, str))
            for node in tree.body if isinstance(node, ast.FunctionDef)}
