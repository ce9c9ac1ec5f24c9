"""The people of the demo facility. Frozen, invented."""

from __future__ import annotations

from dataclasses import dataclass

LOGIN_NAME = "visitor1"


@dataclass(frozen=True)
class Person:
    """Someone who can sign in. ``login``: the SSH account at the facility, ``""`` when there is none."""

    subject: str
    name: str
    role: str
    email: str
    login: str = LOGIN_NAME

    def get_user_id(self) -> str:
        return self.subject

    def claims(self, scope: str) -> dict[str, str | bool]:
        """What an ID token and the user-info endpoint tell for a scope."""
        told: dict[str, str | bool] = {"sub": self.subject}
        scopes = scope.split()
        if "profile" in scopes:
            told |= {"name": self.name, "preferred_username": self.subject}
        if "email" in scopes:
            told |= {"email": self.email, "email_verified": True}
        return told


PERSONS = (
    Person("ada", "Ada Lindqvist", "visiting scientist, proposal sc5678", "ada@umbrella.example"),
    Person("ben", "Ben Okafor", "doctoral student, proposal sc5678", "ben@umbrella.example"),
    Person("nora", "Nora Weiss", "no account at this facility", "nora@umbrella.example", login=""),
)


def person(subject: str) -> Person | None:
    """The person with this subject."""
    return next((p for p in PERSONS if p.subject == subject), None)
