"""``python -m app.facility [--state DIR] [--option key=value]…``: the demo facility in the foreground until SIGTERM.

The first line on standard output is a JSON object with the site profile's path and the addresses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from app.errors import BeamsideError
from app.facility.options import Options


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code of docs/cli.md."""
    parser = argparse.ArgumentParser(prog="python -m app.facility", description="Run the Beamside demo facility.")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep everything here (default: a temporary folder)")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE",
                        help="one of " + ", ".join(f.name for f in fields(Options)))
    parser.add_argument("--until-input-closes", action="store_true", help="also stop when standard input ends")
    parser.add_argument("--json", action="store_true", help="an error is a JSON object on standard output")
    parser.add_argument("--debug", action="store_true", help="log what happens")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if given.debug else logging.ERROR, stream=sys.stderr)
    logging.getLogger("authlib").setLevel(logging.WARNING)         # its debug lines hold tokens
    try:
        return _run(given.state, Options.parse(given.option), given.until_input_closes)
    except BeamsideError as error:
        if given.json:
            print(json.dumps({"error": error.as_json()}), flush=True)
            return error.exit_code
        for line in (error.summary, error.detail if given.debug else "", error.remedy):
            if line:
                _say(line)
        return error.exit_code


def _run(path: Path | None, options: Options, until_input_closes: bool) -> int:
    from app.facility.facility import serve
    from app.facility.state import StateFolder
    state = StateFolder(path)
    try:
        state.open()
        asyncio.run(serve(state, options, _say, lambda line: print(line, flush=True), until_input_closes))
    except KeyboardInterrupt:
        return 130
    finally:
        state.close()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
