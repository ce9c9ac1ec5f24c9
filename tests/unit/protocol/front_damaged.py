"""Run by a test in a process of its own: the agent's front hears damaged sessions and must end each one in order.

    python -m tests.unit.protocol.front_damaged FILE-OF-WHAT-THE-CLIENT-SAID SEED COUNT

Its workers end at once. Prints how many sessions ended, and the most memory that Python took at once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
import tracemalloc
from pathlib import Path

from app.agent.front import Front, FrontSettings
from app.agent.supervisor import WorkerSettings
from tests.unit.protocol.mutations import damaged_stream

DEADLINE_S = 30.0


def hear(said: bytes) -> None:
    """One session that hears ``said`` and then the end."""
    to_front, from_client = os.pipe()
    from_front, to_client = os.pipe()
    front = Front(to_front, to_client, FrontSettings(WorkerSettings(("/bin/true",)), 1))
    status: list[int] = []

    def say() -> None:
        try:
            os.write(from_client, said)
        except BrokenPipeError:
            return      # it has heard enough
        finally:
            os.close(from_client)

    def listen() -> None:
        while os.read(from_front, 65536):
            pass

    threads = [threading.Thread(target=target) for target in (say, listen, lambda: status.append(front.run()))]
    for thread in threads:
        thread.start()
    threads[2].join(DEADLINE_S)
    assert status == [0], "the front did not end"
    for descriptor in (to_client, to_front):
        os.close(descriptor)
    for thread in threads[:2]:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    os.close(from_front)


def main() -> None:
    faulthandler.enable()
    said, seed, count = Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), int(sys.argv[3])
    failed: list[BaseException] = []
    threading.excepthook = lambda told: failed.append(told.exc_value or RuntimeError())
    hear(said)
    tracemalloc.start()
    for number in range(seed, seed + count):
        hear(damaged_stream(said, number))
        assert not failed, (number, failed)
    print(json.dumps({"ended": count, "most_bytes": tracemalloc.get_traced_memory()[1]}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
