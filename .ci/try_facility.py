"""Start the demo facility from the wheel, wait for its first line, stop it, and look that nothing is left."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

state = sys.argv[1]
facility = subprocess.Popen([sys.executable, "-m", "app.facility", "--state", state],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
assert facility.stdout is not None
begun = time.monotonic()
try:
    assert select.select([facility.stdout], [], [], 180)[0], "the demo facility said nothing for 180 s"
    line = facility.stdout.readline()
    assert line, f"the demo facility ended with {facility.wait(10)}"
    addresses = json.loads(line)
    print(f"the demo facility: up after {time.monotonic() - begun:.1f} s:", ", ".join(sorted(addresses)))
finally:
    facility.send_signal(signal.SIGTERM)
    code = facility.wait(30)
assert code in (0, 143, -signal.SIGTERM), f"the demo facility ended with {code}"
mine = [p for p in Path("/proc").glob("[0-9]*/cmdline") if state.encode() in p.read_bytes()] \
    if Path("/proc").is_dir() else []
left = [p.read_bytes().replace(b"\0", b" ").decode() for p in mine if str(p.parent.name) != "self"
        and b"try_facility" not in p.read_bytes()]
assert not left, f"left running: {left}"
