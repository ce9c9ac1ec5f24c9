"""What stands behind ``sbatch``, ``squeue`` and the others on the demo facility: asks the batch system, prints.

Run as a script with ``python -I -S``; standard library only, imports nothing of ours. Each question is one connection:
a length and a JSON object out, the same back. ``sbatch`` is asked for its standard input only when that is the script.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from typing import Any, TextIO

_MOST_INPUT = 1 << 22
_UNREACHABLE = "Unable to contact slurm controller (connect failure)"


def main(argv: list[str]) -> int:
    """``client.py ADDRESS_FILE COMMAND [ARGUMENT …]``."""
    address_file, command, *arguments = argv
    request: dict[str, object] = {"command": command, "argv": arguments, "cwd": os.getcwd(),
                                  "env": dict(os.environ)}
    try:
        answer = _ask(address_file, request)
        if answer.get("wants_input"):
            request["stdin"] = sys.stdin.buffer.read(_MOST_INPUT).decode("utf-8", "surrogateescape")
            answer = _ask(address_file, request)
    except (OSError, ValueError, struct.error):
        print(f"{command}: error: {_UNREACHABLE}", file=sys.stderr)
        return 1
    _write(sys.stdout, answer["stdout"])
    _write(sys.stderr, answer["stderr"])
    return int(answer["rc"])


def _ask(address_file: str, request: dict[str, object]) -> dict[str, Any]:
    with open(address_file, encoding="utf-8") as file:
        address = json.load(file)
    if "path" in address:
        connection = socket.socket(socket.AF_UNIX)
        place: Any = address["path"]
    else:
        connection = socket.socket(socket.AF_INET)
        place = ("127.0.0.1", address["port"])
    with connection:
        connection.settimeout(address.get("timeout_s", 30))
        connection.connect(place)
        body = json.dumps({**request, "secret": address["secret"]}).encode()
        connection.sendall(struct.pack(">I", len(body)) + body)
        connection.settimeout(None)
        (size,) = struct.unpack(">I", _receive(connection, 4))
        answer: dict[str, Any] = json.loads(_receive(connection, size))
        return answer


def _receive(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise OSError("the batch system closed the connection")
        parts += part
    return parts


def _write(stream: TextIO, text: str) -> None:
    buffer = stream.buffer
    try:
        buffer.write(text.encode("utf-8", "surrogateescape"))
        buffer.flush()
    except BrokenPipeError:
        os.close(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
