"""A server's own prompts: answered by the person, or with an access token where the site's host asks for one.

On the connecting thread, after the host key was checked. What is typed is passed on and never kept or logged.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from app.errors import BeamsideError, CancelledByUserError, LoginRefusedError
from app.remote.conversation import Conversation
from app.remote.ssh.attempt import Attempt, refusal
from app.remote.ssh.auth_exchange import AuthExchange, PasswordExpired, Round, TooManyPrompts
from app.remote.ssh.token_login import TokenLogin

MOST_DIALOGS = 3
PUSH_S = 60.0     # what facilities give a person to take out the phone
_TOKEN_PROMPT = re.compile(r"access token\s*:?\s*$", re.I)
_LIKE_TOKEN_PROMPT = re.compile(r"access[\s_-]*token|bearer", re.I)
_PUSH = re.compile(r"\bpush|notification|approve|\bduo\b|authenticator app|confirm .*(phone|device)", re.I)
_NEW_PASSWORD = re.compile(r"(new|retype|again|repeat).{0,20}password|password.{0,40}(expired|change)", re.I | re.S)
_LOG = logging.getLogger(__name__)


def with_prompts(attempt: Attempt, token: TokenLogin | None, problem: BeamsideError | None = None) -> None:
    """Keyboard-interactive, or a plain password: a wrong answer may be given again, in the same dialog.

    Args:
        token: the access token, if this server may have it.
        problem: why the sign-in did not do, so that the person knows what the prompt is for.

    Raises:
        CancelledByUserError: the person gave up.
        LoginRefusedError, LinkLostError: the server hung up, or asks for what cannot be given.
    """
    with conversation_of(attempt) as conversation:
        dialog = _Dialog(attempt, conversation, token)
        if problem is not None:
            conversation.say(f"{problem.summary} You can log in with what {attempt.host} asks instead.", warns=True)
        for _ in range(MOST_DIALOGS):
            if dialog.once() or not dialog.typed or not attempt.link.is_active():
                return
            conversation.say("That was not accepted. Try again.", warns=True)


@contextmanager
def conversation_of(attempt: Attempt) -> Iterator[Conversation]:
    """The conversation of one method with the person; over when the block is left."""
    conversation = attempt.conversation = Conversation(attempt.host, attempt.user)
    try:
        yield conversation
    except CancelledByUserError:
        raise
    except BeamsideError as error:
        conversation.end(error.summary)
        raise
    finally:
        conversation.end()
        attempt.conversation = None


def ask(attempt: Attempt, conversation: Conversation, title: str, instructions: str,
        prompts: Sequence[tuple[str, bool]], closes: bool = True) -> list[str]:
    """The person's answers, while the server waits.

    Args:
        closes: giving up ends the login; otherwise it is ``[]``.

    Raises:
        CancelledByUserError: the person gave up.
        LoginRefusedError: the server did not wait for them.
    """
    waits_s, began = attempt.server_waits_s, time.monotonic()
    answers = attempt.interaction.answer_prompts(attempt.host, title, instructions, list(prompts), waits_s,
                                                 conversation)
    if answers is not None and not conversation.over.is_set():
        return answers
    if conversation.over.is_set() and not attempt.interaction.cancelled.is_set() and not conversation.gave_up.is_set():
        raise LoginRefusedError(f"{attempt.host} did not wait for your answer.",
                                f"It waited {time.monotonic() - began:.0f} s.\n" + "\n".join(attempt.refusals),
                                "Connect again and answer within two minutes, or ask the facility how long it waits.")
    if not closes and not attempt.interaction.cancelled.is_set():
        return []
    attempt.link.close()   # rather than leave the server waiting
    raise CancelledByUserError(f"The login at {attempt.host} was cancelled.")


class _Dialog:
    """Answers round after round."""

    def __init__(self, attempt: Attempt, conversation: Conversation, token: TokenLogin | None) -> None:
        self._attempt = attempt
        self._conversation = conversation
        self._token = token
        self._last = Round("", "", ())
        self._exchange = AuthExchange(attempt.link, attempt.user, self._look, self._interrupted, self._slow)
        self._banner = _banner(attempt)
        self.typed = False

    def once(self) -> bool:
        """One login; whether the server took it."""
        attempt = self._attempt
        self.typed = False
        with refusal(attempt, "keyboard-interactive"):
            try:
                if "keyboard-interactive" in attempt.allowed:
                    attempt.passed(self._exchange.interactive(self._answer))
                else:
                    asked = Round("", "", ((f"Password of {attempt.user}", False),))
                    password = self._exchange.watched(lambda: self._typed(asked))[0]
                    attempt.passed(self._exchange.password(password))
                return True
            except PasswordExpired as error:
                raise LoginRefusedError(f"Your password at {attempt.host} has expired and must be changed.", str(error),
                                        "Change it on the facility's account page, or in a terminal with: ssh "
                                        f"{attempt.user}@{attempt.host}") from None
            except TooManyPrompts as error:
                attempt.link.close()
                raise LoginRefusedError(f"{attempt.host} asks for too many answers at once ({error}).",
                                        remedy="Tell the facility's support; this may not be their server.") from None
        attempt.typed += self.typed
        return False

    def _answer(self, asked: Round) -> list[str]:
        if not asked.prompts:
            self._last = asked
            self._show_waiting()
            return []
        token = self._token_for(asked)
        return [token] if token else self._typed(asked)

    def _typed(self, asked: Round) -> list[str]:
        conversation = self._conversation
        words = "\n".join(filter(None, (self._banner, asked.instructions)))
        self._banner = ""
        texts = "\n".join((words, *(prompt for prompt, _ in asked.prompts)))
        if _LIKE_TOKEN_PROMPT.search(texts):
            conversation.say(f"Careful: this asks for an access token. {self._why_not(asked)} Whoever has it can act "
                             "as you, so do not type one unless the facility told you to.", warns=True)
        elif _NEW_PASSWORD.search(texts):
            conversation.say("The facility wants you to choose a new password. What you type here becomes the "
                             "password of your account there.", warns=True)
        answers = ask(self._attempt, conversation, asked.title, words, asked.prompts)
        conversation.say("")
        self.typed = True
        self._last = Round(asked.title, words, asked.prompts)
        return answers

    # -- access tokens ----------------------------------------------------------------------------------------------

    def _token_for(self, asked: Round) -> str:
        """The token, if that is what is asked for by one who may have it, once per login; else ``""``."""
        prompt, echo = asked.prompts[0]
        if self._token is None or self._attempt.token or echo or len(asked.prompts) > 1 \
                or not _TOKEN_PROMPT.search(prompt):
            return ""
        self._attempt.token = True
        try:
            return self._token.answer(self._attempt.user, self._attempt.interaction)
        except CancelledByUserError:
            raise
        except BeamsideError as error:
            if self._token.said_no:
                raise
            _LOG.info("no access token for the prompt of %s: %s", self._attempt.host, error.summary)
            return ""

    def _why_not(self, asked: Round) -> str:
        host = self._attempt.host
        if self._token is None:
            return f"Beamside does not send one, since {host} is not a host of the site you are signed in for."
        if self._attempt.token:
            return f"Beamside sent one already, which {host} did not accept, or could not get one."
        if any(echo for _, echo in asked.prompts):
            return "Beamside does not send one to a prompt that would show it."
        return "Beamside does not send one to a prompt like this."

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._attempt.interaction.cancelled.is_set() or self._conversation.gave_up.is_set():
            self._attempt.link.close()
            raise CancelledByUserError(f"The login at {self._attempt.host} was cancelled.")

    def _interrupted(self) -> None:
        self._conversation.end(f"{self._attempt.host} did not wait for your answer.")

    def _slow(self) -> None:
        if self.typed or self._last.instructions:
            self._show_waiting(silent=True)

    def _show_waiting(self, silent: bool = False) -> None:
        """Show what the server said last while it takes its time."""
        attempt, last = self._attempt, self._last
        push = _PUSH.search("\n".join((last.instructions, *(prompt for prompt, _ in last.prompts))))
        waits_s = min(PUSH_S, attempt.server_waits_s or PUSH_S) if push else attempt.server_waits_s
        if silent:
            self._conversation.say("Approve the request on your phone or other device now." if push else
                                   f"Waiting for {attempt.host}. If the facility sends a request to your phone, "
                                   "approve it now.")
        attempt.interaction.answer_prompts(attempt.host, last.title, last.instructions, [], waits_s,
                                           self._conversation)
        self._conversation.say("")


def _banner(attempt: Attempt) -> str:
    """What the server says before any login: often how to log in."""
    said = attempt.link.get_banner() or b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return text.strip()[:4000]
