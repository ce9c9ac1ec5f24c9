"""The words views use for site profiles: reading, writing and judging their text. No behaviour of its own."""

from __future__ import annotations

from app.remote.profile_bounds import PLACEHOLDERS
from app.remote.profile_text import commands_of, exported_text, line_of, profile_text, table_text
from app.remote.profile_trust import trusts_of
from app.remote.profiles import ProfileError, faults_in, parse_profile
from app.remote.site_catalogue import KnownSite
from app.remote.ssh.ssh_config import Jump, parse_jump

__all__ = ["PLACEHOLDERS", "Jump", "KnownSite", "ProfileError", "commands_of", "exported_text", "faults_in", "line_of",
           "parse_jump", "parse_profile", "profile_text", "table_text", "trusts_of"]
