"""``beamside``: arguments first, then Qt, so that commands need no screen and answer fast."""

from __future__ import annotations

import sys

from app import cli


def main() -> int:
    """The entry point of the distribution."""
    outcome = cli.main(sys.argv[1:])
    if isinstance(outcome, int):
        return outcome
    from app.application import run_window
    return run_window(outcome)


if __name__ == "__main__":
    sys.exit(main())
