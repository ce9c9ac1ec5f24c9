"""What runs at a site to look for a place for packages, and to put them there. Any Python from 3.8 on, nothing else.

Both programs answer in lines that hold the nonce, as :data:`app.remote.boot.SOURCE` does; :class:`app.remote.boot.Boot`
hears them. Packages are made whole under another name and renamed, so that what was interrupted is never used.
"""

from __future__ import annotations

_COMMON = r'''
import json, os, sys
folder, nonce = os.path.expanduser(sys.argv[1]), sys.argv[2]
answer = {"python": "%d.%d" % sys.version_info[:2], "folder": folder}

def say(**more):
    answer.update(more)
    os.write(1, ("\nBEAMSIDE-ANSWER %s %s\n" % (nonce, json.dumps(answer))).encode("ascii"))

def end(**more):
    say(**more)
    sys.exit(0)

def refuse(error):
    import errno
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    end(result="full" if full else "failed", detail=str(error))
'''

# Arguments: cache folder, nonce.
LOOK = _COMMON + r'''
import subprocess, tempfile

def words_of(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=10)
        return [line.split() for line in done.stdout.decode("utf-8", "replace").splitlines()]
    except (OSError, subprocess.SubprocessError):
        return []

def number(word):
    digits = word.rstrip("*")
    return int(digits) if digits.isdigit() else None

def mounted(path):
    """(device, type) of the file system that holds path."""
    best, path = ("", "", ""), os.path.realpath(path) + "/"
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            for line in file:
                device, place, kind = line.split()[:3]
                if path.startswith(place.rstrip("/") + "/") and len(place) >= len(best[0]):
                    best = (place, device, kind)
    except (OSError, ValueError):
        pass
    return best[1:]

def left_of_quota():
    """Bytes that the user's quota leaves, or None."""
    device, kind = mounted(folder)
    rows = [words[1:] for words in words_of(["quota", "-w"]) if len(words) > 3 and words[0] == device]
    if kind == "lustre":
        rows = [words[1:] for words in words_of(["lfs", "quota", "-q", "-u", str(os.getuid()), folder])]
    left = []
    for used, soft, hard in [[number(word) for word in words[:3]] for words in rows if len(words) >= 3]:
        limits = [limit for limit in (soft, hard) if limit]
        if used is not None and limits:
            left.append(max(0, (min(limits) - used) * 1024))
    return min(left) if left else None

try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, OSError, ValueError):
    libc = ""
say(implementation=sys.implementation.name, machine=os.uname().machine, system=os.uname().sysname, libc=libc,
    bits=64 if sys.maxsize > 2 ** 32 else 32)
try:
    os.makedirs(folder, 0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".upload-", dir=folder) as file:
        file.write(b"x")
        file.flush()
except OSError as error:
    refuse(error)
disk = os.statvfs(folder)
end(free=disk.f_bavail * disk.f_frsize, quota=left_of_quota(), result="ready")
'''

# Arguments: cache folder, nonce, the name of the new folder, what older ones begin with, and the wheels as JSON (name,
# bytes, SHA-256), which come on standard input in this order.
INSTALL = _COMMON + r'''
import hashlib, shutil, subprocess, tempfile, time, zipfile
name, older, wheels = sys.argv[3], sys.argv[4], json.loads(sys.argv[5])

def received(size, file):
    digest = hashlib.sha256()
    while size:
        data = os.read(0, min(size, 1 << 20))
        if not data:
            raise EOFError
        file.write(data)
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()

def remove(path):
    shutil.rmtree(path, ignore_errors=True)

def spread(place):
    """What a wheel has for other places than the root goes there."""
    for data in [n for n in os.listdir(place) if n.endswith(".data")]:
        for part in ("purelib", "platlib"):
            home = os.path.join(place, data, part)
            for entry in os.listdir(home) if os.path.isdir(home) else ():
                os.rename(os.path.join(home, entry), os.path.join(place, entry))

temporary = ""
try:
    os.makedirs(folder, 0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    for entry in os.listdir(folder):
        path = os.path.join(folder, entry)
        if entry.startswith(".private-") and time.time() - os.stat(path).st_mtime > 3600:
            remove(path)
    temporary = tempfile.mkdtemp(prefix=".private-", dir=folder)
    os.chmod(temporary, 0o700)
    say(ready=True)
    for wheel, size, wanted in wheels:
        with tempfile.TemporaryFile(dir=folder) as file:
            if received(size, file) != wanted:
                remove(temporary)
                end(result="damaged", detail=wheel)
            with zipfile.ZipFile(file) as archive:
                archive.extractall(temporary)
    spread(temporary)
    say(unpacked=True)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import numpy, h5py; print(numpy.__version__, h5py.__version__)"
    tried = subprocess.run([sys.executable, "-I", "-c", code, temporary], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)
    if tried.returncode:
        remove(temporary)
        end(result="unusable", detail=tried.stdout.decode("utf-8", "replace")[-2000:])
    target = os.path.join(folder, name)
    remove(target)
    os.rename(temporary, target)
    for entry in os.listdir(folder):
        if entry.startswith(older) and entry != name:
            remove(os.path.join(folder, entry))
except EOFError:
    remove(temporary)
    sys.exit(1)
except (OSError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
    if temporary:
        remove(temporary)
    if isinstance(error, OSError):
        refuse(error)
    end(result="damaged", detail=str(error))
end(result="installed")
'''

# For sh: the cache folder. Whoever runs from there goes on with what it has open.
REMOVE = r'''case $1 in "~") set -- "$HOME" ;; "~/"*) set -- "$HOME/${1#"~/"}" ;; esac
cd -- "$1" 2>/dev/null || exit 0
for entry in private-* .private-*; do
  [ -d "$entry" ] || continue
  printf '%s\n' "$entry"
  rm -rf -- "./$entry" || exit 1
done'''
