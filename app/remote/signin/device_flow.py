"""The device flow's wait (RFC 8628): the person approves elsewhere, this polls, backs off, and stops when told.

Runs on a worker thread. It knows nothing of msal: ``ask`` makes one request.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from app.errors import CancelledByUserError, CodeExpiredError
from app.remote.seams import DeviceCode, Interaction
from app.remote.signin.https import require_https

_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.1, 60.0
_LOOK_S = 0.2
_LONGEST_TEXT = 2000
_LATEST = 32e9           # seconds since the epoch: the year 2984


class NotNow(Exception):
    """One request failed for a reason that may pass: the network, or the provider's bad moment."""


def check_code(flow: dict[str, Any]) -> None:
    """Look at an answer with a code before anybody is shown it; numbers in it are numbers afterwards.

    Raises:
        ProviderError: it sends the person to a page without encryption.
        ValueError, TypeError, KeyError: it makes no sense.
    """
    for name in ("verification_uri", "verification_url", "verification_uri_complete"):
        if flow.get(name) is not None:
            require_https(_text(flow[name]), "the sign-in service's page for codes")
    if not (flow.get("verification_uri") or flow.get("verification_url")) or not _text(flow["user_code"]):
        raise ValueError("no code, or no page for it")
    flow["interval"] = math.ceil(_number(flow.get("interval", 5)))   # msal counts with it
    flow["expires_at"] = _number(flow["expires_at"])


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError("a text is none, or too long")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not 0 <= number < _LATEST:
        raise ValueError("a time is out of reason")
    return number


def code_of(flow: dict[str, Any], use_browser: threading.Event | None = None) -> DeviceCode:
    """What to show the person; ``use_browser`` where the browser of this computer would do as well."""
    address = str(flow.get("verification_uri") or flow.get("verification_url") or "")
    return DeviceCode(str(flow["user_code"]), address, str(flow.get("verification_uri_complete") or address),
                      float(flow["expires_at"]), use_browser)


def wait_for_approval(flow: dict[str, Any], ask: Callable[[], dict[str, Any]], interaction: Interaction,
                      use_browser: threading.Event | None = None) -> dict[str, Any] | None:
    """Poll until the provider has an answer.

    Args:
        flow: the provider's answer to the device authorization request, with ``interval`` and ``expires_at``;
            ``ask`` may raise ``flow["interval"]`` when told to slow down.

    Returns:
        The first answer that is not "keep waiting"; ``None``: the person wants the browser instead.

    Raises:
        CancelledByUserError: ``interaction.cancelled`` was set.
        CodeExpiredError: the time ran out.
    """
    end = time.monotonic() + max(0.0, float(flow["expires_at"]) - time.time())
    wait = _interval(flow)
    unheard = False
    while time.monotonic() < end:
        if _paused(wait, interaction.cancelled, use_browser):
            return None
        try:
            answer = ask()
        except NotNow as trouble:
            if not unheard:
                interaction.say(str(trouble))
            unheard = True
            wait = min(max(wait, _interval(flow)) * 2, _LONGEST_WAIT_S)
            continue
        unheard = False
        wait = _interval(flow)
        if answer.get("error") not in ("authorization_pending", "slow_down"):
            return answer
    raise expired()


def _paused(wait_s: float, cancelled: threading.Event, instead: threading.Event | None) -> bool:
    """Wait; whether the person wants another way.

    Raises:
        CancelledByUserError: or none at all.
    """
    if instead is None:
        stopped = cancelled.wait(wait_s)
    else:
        end = time.monotonic() + wait_s
        while not (stopped := cancelled.wait(min(_LOOK_S, max(0.0, end - time.monotonic())))):
            if instead.is_set():
                return True
            if time.monotonic() >= end:
                break
    if stopped:
        raise CancelledByUserError("The sign-in was cancelled.")
    return False


def expired() -> CodeExpiredError:
    """The person was too slow, or away."""
    return CodeExpiredError("The sign-in code ran out before it was approved.", remedy="Sign in again for a new code.")


def _interval(flow: dict[str, Any]) -> float:
    return max(float(flow["interval"]), _SHORTEST_WAIT_S)
