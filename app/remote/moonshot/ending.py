"""How an exchange can end before the server says yes. Values only: no SSH library is loaded for them."""

from __future__ import annotations

from collections.abc import Sequence

from app.remote.moonshot.process import HelperError

METHOD = "gssapi-with-mic"


class ExchangeFailed(Exception):
    """The exchange ended before the server said yes.

    Attributes:
        stage: where: "offer" (the server did not begin), "exchange" (during it), "federation" (the other side's
            verdict, told by the mechanism), "client" (this side's verdict), "account" (the exchange was good, the
            login was not), "link" (the connection ended), "silence" (nobody answered in time).
        cause: what the mechanism said.
        rounds: how many tokens of the server's were taken.
        methods: what else the server would take.
    """

    def __init__(self, stage: str, text: str, cause: HelperError | None = None, rounds: int = 0,
                 methods: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.stage = stage
        self.cause = cause
        self.rounds = rounds
        self.methods = tuple(methods)
