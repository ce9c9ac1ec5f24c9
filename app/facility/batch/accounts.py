"""``sacctmgr show``: who may charge jobs to which account. Pure functions; nothing can be changed."""

from __future__ import annotations

from collections.abc import Sequence

from app.facility.batch import arguments
from app.facility.batch.arguments import CommandRefusedError
from app.facility.batch.cluster import ACCOUNTS, CLUSTER, Cluster

SACCTMGR = arguments.Options(
    values={}, flags={"noheader": "n", "parsable2": "P", "parsable": "p", "immediate": "i", "associations": "s",
                      "quiet": "Q", "readonly": "r", "verbose": "v"})
_USER = ("User", "DefaultAccount", "AdminLevel")
_ASSOCIATION = ("Cluster", "Account", "User", "Partition", "Share", "QOS")
_FIELDS = {f.lower(): f for f in (*_USER, *_ASSOCIATION, "DefaultWCKey", "DefaultQOS")}
_SHORT = {"DefaultAccount": "Def Acct", "AdminLevel": "Admin"}


def sacctmgr(argv: Sequence[str], cluster: Cluster, known_users: Sequence[str]) -> str:
    """``show user|association [NAME …] [withassoc] [user=…] [format=…]``.

    Raises:
        CommandRefusedError: with Slurm's text.
    """
    given = arguments.read("sacctmgr", argv, SACCTMGR)
    verb, what, *words = [*given.rest, "", ""][:max(2, len(given.rest))]
    if verb.lower() not in ("show", "list") or what.lower() not in ("user", "users", "association", "associations",
                                                                    "assoc"):
        raise CommandRefusedError(f"Unknown condition: {' '.join(given.rest)}" if given.rest else
                                  "sacctmgr: a command is needed")
    if not cluster.accounting:
        raise CommandRefusedError("You are not running a supported accounting_storage plugin\n"
                                  "Only 'accounting_storage/slurmdbd' is supported.")
    of_user = what.lower().startswith("user")
    columns: tuple[str, ...] = _USER if of_user else _ASSOCIATION
    users: list[str] = []
    associations = not of_user or "associations" in given
    for word in words:
        key, equals, value = word.partition("=")
        if key.lower() == "withassoc":
            associations = True
        elif equals and key.lower() == "format":
            columns = tuple(_column(name) for name in value.split(","))
        elif (equals and key.lower() in ("user", "users", "name", "names")) or not equals:
            users += (value or key).split(",")
        else:
            raise CommandRefusedError(f" Unknown condition: {word}")
    rows = [] if users and not set(users) & {cluster.user, *known_users} else [
        [_value(column, account, cluster) for column in columns]
        for account in (ACCOUNTS if associations else ACCOUNTS[:1])]
    header = [] if "noheader" in given else [[_SHORT.get(c, c) for c in columns]]
    if "parsable2" in given or "parsable" in given:
        tail = "|" if "parsable" in given and "parsable2" not in given else ""
        return "".join("|".join(row) + tail + "\n" for row in header + rows)
    rules = [["-" * 10] * len(columns)] if header else []
    return "".join(" ".join(text[:10].rjust(10) for text in row) + " \n" for row in header + rules + rows)


def _column(name: str) -> str:
    if name.lower() not in _FIELDS:
        raise CommandRefusedError(f"Unknown field '{name.lower()}'")
    return _FIELDS[name.lower()]


def _value(column: str, account: str, cluster: Cluster) -> str:
    return {"User": cluster.user, "DefaultAccount": ACCOUNTS[0], "AdminLevel": "None", "Cluster": CLUSTER,
            "Account": account, "Share": "1", "QOS": "normal", "DefaultQOS": "normal"}.get(column, "")
