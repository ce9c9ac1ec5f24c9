"""The demo facility: an OpenID provider, SSH, a batch system and data in one process (docs/architecture.md)."""
