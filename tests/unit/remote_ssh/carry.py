"""A ProxyCommand as people write it with nc: standard input and output to HOST PORT."""

from __future__ import annotations

import os
import socket
import sys
import threading


def main(host: str, port: str) -> None:
    """Carry bytes until either side ends."""
    with socket.create_connection((host, int(port))) as sock:
        def inwards() -> None:
            while data := os.read(0, 65536):
                sock.sendall(data)
            os._exit(0)

        threading.Thread(target=inwards, daemon=True).start()
        while data := sock.recv(65536):
            os.write(1, data)


if __name__ == "__main__":
    main(*sys.argv[1:3])
