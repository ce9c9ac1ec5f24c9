"""Letting the person sign in: in this computer's browser or with a code, and from one to the other while either waits.

Runs on a worker thread, within :class:`OidcSession`'s turn to ask. Nothing is kept here: ``take`` is given the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.errors import CancelledByUserError, ProviderError
from app.model.site import IdentitySettings
from app.remote.seams import Interaction
from app.remote.signin import browser_flow, device_flow
from app.remote.signin.https import host_of
from app.remote.signin.id_token import Provider
from app.remote.signin.msal_client import MsalClient, SignInWeb, nonce_of
from app.remote.signin.receiver import Receiver
from app.remote.signin.refusals import ScopesRefusedError, refusal

Take = Callable[[MsalClient, dict[str, Any], str], None]   # client, the token endpoint's answer, nonce or ""


@dataclass(frozen=True)
class NewSignIn:
    """What one sign-in needs.

    Attributes:
        site: the name shown to the person.
        take: checks and keeps the answer; raises what is wrong with it.
        only_by_code: the browser of this computer is not to be used, if the provider has codes at all.
    """

    site: str
    web: SignInWeb
    settings: IdentitySettings
    provider: Provider
    interaction: Interaction
    take: Take
    only_by_code: bool = False

    def ask(self) -> None:
        """Until the person has signed in.

        Raises:
            SignInError: refused, expired, or the provider cannot be used.
            CancelledByUserError: the person gave up.
        """
        ways = self.provider.ways
        if not ways:
            raise ProviderError(f"{host_of(self.provider.issuer)} offers no sign-in that Beamside knows.",
                                remedy="Ask the facility to allow Beamside the authorization code or the device grant.")
        if self.only_by_code and "code" in ways:
            ways = ("code",)
        way = self.interaction.choose_way(self.site, ways)
        refused: ScopesRefusedError | None = None
        while way is not None and not self.interaction.cancelled.is_set():
            client = MsalClient(self.web, self.settings, self.provider, lasting=refused is None)
            try:
                if (self._by_browser if way == "browser" else self._by_code)(client, len(ways) > 1):
                    if refused is not None:
                        self.interaction.say(f"{host_of(self.provider.issuer)} lets nobody stay signed in for long, so "
                                             "it will ask again sooner.")
                    return
            except ScopesRefusedError as error:
                if refused is not None:
                    raise refused from None
                refused = error               # some allow everything but offline_access: once more without it
                continue
            way = "code" if way == "browser" else "browser"
        raise CancelledByUserError("The sign-in was cancelled.")

    def _by_browser(self, client: MsalClient, code_too: bool) -> bool:
        """Let the person sign in here; False: with a code rather."""
        try:
            receiver = Receiver(self.settings.redirect_port, self.settings.redirect_host, self.settings.redirect_path)
        except ProviderError as error:
            if not code_too:
                raise
            self.interaction.say(f"{error.summary} Going on with a code.")
            return False
        with receiver:
            flow = client.begin_browser(receiver.redirect_uri)
            receiver.expect(flow["state"])
            page = browser_flow.address_of(flow["auth_uri"], self.settings)
            use_code = self.interaction.show_browser(self.site, page)
            try:
                brought = browser_flow.wait_for_answer(receiver, self.interaction,
                                                       use_code if code_too else threading.Event())
                if brought is None:
                    return False
                browser_flow.check_sender(self.provider, brought)
                self._take(client, client.trade_code(flow, brought, self.interaction.cancelled),
                           nonce_of(flow["auth_uri"]))
                return True
            finally:
                self.interaction.browser_settled(self.site)

    def _by_code(self, client: MsalClient, browser_too: bool) -> bool:
        """Let the person approve a code on any device; False: in this computer's browser rather."""
        flow = client.begin_code()
        if "user_code" not in flow:
            raise refusal(self.provider, self.settings.client_id, client.all_scopes, flow)
        use_browser = threading.Event() if browser_too else None
        self.interaction.show_device_code(self.site, device_flow.code_of(flow, use_browser))
        try:
            answer = device_flow.wait_for_approval(flow, lambda: client.poll(flow), self.interaction, use_browser)
            if answer is not None:
                self._take(client, answer)
            return answer is not None
        finally:
            self.interaction.device_code_settled(self.site)

    def _take(self, client: MsalClient, answer: dict[str, Any], nonce: str = "") -> None:
        if "access_token" not in answer:
            raise refusal(self.provider, self.settings.client_id, client.all_scopes, answer)
        self.interaction.say(f"The sign-in at {self.site} was answered.")
        self.take(client, answer, nonce)
