"""Moonshot: the home institution's account over SSH ``gssapi-with-mic`` (docs/decisions/0008-moonshot.md)."""
