"""Debian's OpenSSH server with GSS-EAP patched in (acceptor B): fetched as source, patched, built. Root, minutes, apt.

The patch beside this file is this project's own, for gss-serv.c of OpenSSH (BSD licence), which is not copied here.
With it the account comes from the mechanism's ``local-login-user``, as at real Moonshot sites, and AES-256 works too.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.peers.kept import cannot_get, kept_folder
from tests.peers.need import need_program

PATCH = Path(__file__).with_name("openssh_gss_eap.patch")
_CONFIGURE = ("--sysconfdir=/etc/ssh", "--with-kerberos5=/usr", "--with-privsep-path=/run/sshd",
              "--with-privsep-user=sshd", "--without-pam", "--disable-strip")


def patched_sshd(scratch: Path) -> Path:
    """The program, built in ``scratch`` unless it was kept from the last time."""
    kept = kept_folder("openssh") / "sshd-gss-eap"
    if kept.exists():
        return kept
    for program, package in (("gcc", "gcc"), ("make", "make"), ("dpkg-source", "dpkg-dev"), ("patch", "patch"),
                             ("krb5-config", "libkrb5-dev")):
        need_program(program, package)
    try:
        source = _source(scratch)
    except (RuntimeError, StopIteration) as error:
        cannot_get("the source of Debian's openssh", str(error)[-300:])
    with PATCH.open("rb") as patch:
        subprocess.run(["patch", "gss-serv.c"], stdin=patch, cwd=source, check=True, capture_output=True)
    # configure.ac is newer than configure because of Debian's patches: no autoconf wanted
    for name in ("aclocal.m4", "configure", "config.h.in"):
        os.utime(source / name)
    _run(source, "./configure", *_CONFIGURE)
    _run(source, "make", "-j2", "sshd")
    fresh = kept.with_suffix(".new")
    fresh.write_bytes((source / "sshd").read_bytes())
    fresh.chmod(0o755)
    fresh.replace(kept)
    return kept


def _source(scratch: Path) -> Path:
    """The unpacked source with Debian's patches; the system's own package lists stay as they are."""
    lists, sources = scratch / "lists", scratch / "sources"
    (lists / "partial").mkdir(parents=True)
    sources.mkdir()
    for number, file in enumerate([Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]):
        if file.suffix in (".list", ".sources") and file.is_file():
            text = re.sub(r"^Types:.*", "Types: deb-src", re.sub(r"^deb\s", "deb-src ", file.read_text(), flags=re.M),
                          flags=re.M)
            (sources / f"{number}{file.suffix}").write_text(text)
    options = [f"-oDir::State::lists={lists}", "-oDir::Etc::SourceList=/dev/null", f"-oDir::Etc::SourceParts={sources}",
               "-oAPT::Sandbox::User=root", "-oAcquire::Retries=3"]
    _run(scratch, "apt-get", "-q", *options, "update")
    _run(scratch, "apt-get", "-q", *options, "source", "openssh")
    return next(folder for folder in scratch.glob("openssh-*") if folder.is_dir())


def _run(folder: Path, *argv: str) -> None:
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:2])} failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
