"""The first lines that run at a site: see what is there, take what is missing, become the agent. One command.

``SOURCE`` runs in any Python from 2.7 on, so that one that is too old can say so; nothing heavy is imported. What it
says comes in lines that hold the nonce, so no banner can imitate them. :class:`Boot` is the client's end of it, on
the connection's thread; afterwards it is the agent's stream.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from typing import Any

from app.errors import AgentError
from app.protocol.framing import NOISE_BYTES
from app.remote.seams import ByteStream

log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_ERROR_BYTES = 4096
_LAST_WORDS_S = 2.0

# Arguments: cache folder, nonce, files as JSON (name, SHA-256, library or ""; the agent first), and the agent's
# options. Files are asked for by "need" and come on standard input, each packed with zlib behind its length (8 bytes).
SOURCE = r'''
import json, os, sys
folder, nonce, files = os.path.expanduser(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
answer = {"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable, "folder": folder}

def say(**more):
    answer.update(more)
    os.write(1, ("\nBEAMSIDE-ANSWER %s %s\n" % (nonce, json.dumps(answer))).encode("ascii"))

def end(**more):
    say(**more)
    sys.exit(0)

if sys.version_info < (3, 8):
    end()
import hashlib
from importlib.util import find_spec

def only_ours(found):
    """Whether nobody else can have written what os.stat found: what lies here is run."""
    return found.st_uid == os.getuid() and not found.st_mode & 0o022

def look_at_folder():
    """The folder may be in a place where everybody can make one, and who owns it decides what is in it."""
    try:
        found = os.stat(folder)
    except OSError:
        return
    if found.st_uid != os.getuid():
        end(result="foreign")
    if found.st_mode & 0o022:
        os.chmod(folder, 0o700)

def private():
    """A folder with packages that Beamside put there for this Python (app.remote.private_python)."""
    try:
        start = "private-%d.%d-%s-" % (sys.version_info[:2] + (os.uname().machine,))
        places = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.startswith(start)]
        return [place for place in places if only_ours(os.stat(place))][-1:]
    except (AttributeError, OSError):
        return []

if hasattr(os, "getuid"):
    look_at_folder()
packages = private() if find_spec("numpy") is None or find_spec("h5py") is None else []
sys.path[:0] = packages
for name in ("numpy", "h5py"):
    if find_spec(name) is None:
        end(missing="No module named '%s'" % name)

def takes_libraries():
    try:
        kind, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        return (kind == "glibc" and tuple(int(n) for n in version.split(".")[:2]) >= (2, 17)
                and os.uname().machine == "x86_64" and sys.maxsize > 2 ** 32)
    except (AttributeError, OSError, ValueError):
        return False

def is_provided(library):
    places = [place for place in os.environ.get("HDF5_PLUGIN_PATH", "").split(os.pathsep) if place]
    found = find_spec("hdf5plugin")
    if found is not None and found.submodule_search_locations:
        places += [os.path.join(place, "plugins") for place in found.submodule_search_locations]
    return any(os.path.isfile(os.path.join(place, library)) for place in places)

def contents(path):
    """The bytes of a file that nobody else can change; None: there is none."""
    with open(path, "rb") as file:
        looked_at = os.fstat(file.fileno()), os.stat(os.path.dirname(path))
        if hasattr(os, "getuid") and not all(only_ours(found) for found in looked_at):
            return None
        return file.read()

def is_there(path, digest):
    try:
        data = contents(path)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            return False
        for used in (path, os.path.dirname(path)):
            os.utime(used, None)   # in use, so not among the oldest
        return True
    except OSError:
        return False

def received(size):
    parts = []
    while size:
        data = os.read(0, min(size, 65536))
        if not data:
            sys.exit(1)
        parts.append(data)
        size -= len(data)
    return b"".join(parts)

def write(path, data):
    import tempfile            # here, since it takes longer than all the others, and is rarely needed
    descriptor, temporary = tempfile.mkstemp(prefix=".upload-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

def place(path, digest, packed):
    import errno, zlib
    home = os.path.dirname(path)
    try:
        os.makedirs(home, 0o700, exist_ok=True)
        for private in {folder, home}:
            os.chmod(private, 0o700)
        data = zlib.decompress(packed)
        if hashlib.sha256(data).hexdigest() != digest:
            end(result="damaged")
        write(path, data)
    except zlib.error as error:
        end(result="damaged", detail=str(error))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        end(result="full" if full else "failed", detail=str(error))

def made_by_us(path):
    try:
        data = contents(path)
        if data is None:
            return False
        os.utime(path, None)
        return hashlib.sha256(data[64:]).hexdigest().encode("ascii") == data[:64]
    except OSError:
        return False

def compiled(agent):
    """The agent with what this Python makes of its modules; as it came, where that cannot be stored.

    Behind its own SHA-256, which a zip may have before it; the same bytes whoever makes it, since others may use it.
    """
    if not sys.implementation.cache_tag:
        return agent
    path = "%s-%s.zip" % (agent[:-4], sys.implementation.cache_tag)
    if made_by_us(path):
        return path
    import io, marshal, zipfile
    from importlib.util import MAGIC_NUMBER, source_hash
    made = io.BytesIO()
    with zipfile.ZipFile(agent) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            source = old.read(item)
            new.writestr(item, source)
            if item.filename != "__main__.py":
                code = compile(source, "%s/%s" % (path, item.filename), "exec", 0, True)
                head = MAGIC_NUMBER + b"\1\0\0\0" + source_hash(source)      # never compared with the source
                new.writestr(zipfile.ZipInfo(item.filename + "c", item.date_time), head + marshal.dumps(code, 2),
                             zipfile.ZIP_DEFLATED)
    data = made.getvalue()
    try:
        write(path, hashlib.sha256(data).hexdigest().encode("ascii") + data)
    except OSError:
        return agent
    return path

def age(path):
    import time
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0

def oldest(start, end, keep):
    paths = [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(start) and n.endswith(end)]
    return sorted(paths, key=age)[keep:]

wanted, plugins, arguments = [], [], sys.argv[4:]
native = takes_libraries()
for name, digest, library in files:
    if library and (not native or is_provided(library)):
        continue
    path = os.path.join(folder, name)
    if library and os.path.dirname(path) not in plugins:
        plugins.append(os.path.dirname(path))
    if not is_there(path, digest):
        wanted.append((name, path, digest))
if wanted:
    say(need=[name for name, _, _ in wanted])
    for _, path, digest in wanted:
        place(path, digest, received(int.from_bytes(received(8), "big")))
    import shutil
    old = [p for p in oldest("agent-", ".zip", 0) if os.path.basename(p).count("-") == 1][4:]
    old += [p for path in old for p in oldest(os.path.basename(path)[:-4] + "-", ".zip", 0)]
    for path in old + [p for p in oldest(".upload-", "", 0) if age(p) > 3600]:
        try:
            os.unlink(path)
        except OSError:
            continue
    for path in oldest("plugins-", "", 2):
        shutil.rmtree(path, ignore_errors=True)
agent = compiled(os.path.join(folder, files[0][0]))
say(run=agent)
sys.argv = [agent, "--nonce", nonce] + (["--plugins", os.pathsep.join(plugins)] if plugins else [])
sys.argv += [word for place in packages for word in ("--packages", place)] + arguments
sys.path.insert(0, agent)
import zipimport
exec(zipimport.zipimporter(agent).get_code("__main__"), {"__name__": "__main__", "__builtins__": __builtins__})
'''


class Boot:
    """A running ``SOURCE``, and after that the agent it has become: a ByteStream.

    Args:
        stream: of the command.
        nonce: what its answers hold.
        deadline_s: of silence at the beginning; ``extend`` gives it more time, ``hand_over`` ends it.
    """

    def __init__(self, stream: ByteStream, nonce: str, deadline_s: float) -> None:
        self._stream = stream
        self._mark = b"BEAMSIDE-ANSWER " + nonce.encode("ascii") + b" "
        self._seen = bytearray()
        self._errors: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._handed_over = False
        self.late = False
        self._timer = self._timed(deadline_s)
        self._drain = threading.Thread(target=self._read_errors, name="agent-boot-stderr", daemon=True)
        self._drain.start()

    def answer(self) -> dict[str, Any] | None:
        """The next answer; ``None``: it ended without one.

        Raises:
            AgentError: it printed more than any banner does.
        """
        while True:
            at = self._seen.find(self._mark)
            end = self._seen.find(b"\n", at) if at >= 0 else -1
            if end >= 0:
                text = bytes(self._seen[at + len(self._mark):end])
                del self._seen[:end + 1]
                return _object(text)
            if len(self._seen) > NOISE_BYTES:
                raise AgentError(f"The site printed more than {NOISE_BYTES} bytes, but the agent did not start.",
                                 bytes(self._seen[-1000:]).decode("utf-8", "backslashreplace"),
                                 "Check what the start-up files of the account print there.")
            data = self._stream.read(_READ_BYTES)
            if not data:
                return None
            self._seen += data

    def extend(self, deadline_s: float) -> None:
        """Give it so many seconds from now."""
        self._timer.cancel()
        self._timer = self._timed(deadline_s)

    def hand_over(self) -> None:
        """It has become the agent: no deadline any more, and what was read too much is read again."""
        self._timer.cancel()
        self._handed_over = True

    def last_words(self) -> str:
        """What it said on standard error, once it has ended."""
        self._drain.join(_LAST_WORDS_S)
        said = []
        while not self._errors.empty():
            said.append(self._errors.get())
        return b"".join(said).decode("utf-8", "backslashreplace").strip()

    def read(self, limit: int) -> bytes:
        if self._seen:
            data = bytes(self._seen[:limit])
            del self._seen[:limit]
            return data
        return self._stream.read(limit)

    def read_error(self, limit: int) -> bytes:
        data = self._errors.get()
        if not data:
            self._errors.put(b"")      # it stays ended
        return data                    # in pieces of at most 4 KiB, which every reader takes

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def close(self) -> None:
        self._timer.cancel()
        self._stream.close()

    def exit_code(self, timeout_s: float) -> int | None:
        return self._stream.exit_code(timeout_s)

    def _timed(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._give_up)
        timer.name = "agent-boot-deadline"
        timer.daemon = True
        timer.start()
        return timer

    def _give_up(self) -> None:
        self.late = True
        self._stream.close()

    def _read_errors(self) -> None:
        kept = 0
        while True:
            data = self._stream.read_error(_ERROR_BYTES)
            kept += len(data)
            if not data or self._handed_over or kept < NOISE_BYTES:
                self._errors.put(data)
            if not data:
                return


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}
