"""The partition for small jobs, in a site's profile."""

from __future__ import annotations

import pytest

from app.remote.profiles import ProfileError, parse_profile


def test_that_a_profile_may_name_a_partition_for_trials() -> None:
    profile = parse_profile('schema = 1\nname = "far"\n[batch]\nsystem = "slurm"\ntrial_partition = "now"\n',
                            "far.toml")
    assert profile.batch.trial_partition == "now"


def test_that_trials_run_where_others_do_unless_it_is_said() -> None:
    assert parse_profile('schema = 1\nname = "far"\n', "far.toml").batch.trial_partition == ""


def test_that_a_partition_is_a_text() -> None:
    with pytest.raises(ProfileError, match=r"batch\.trial_partition"):
        parse_profile('schema = 1\nname = "far"\n[batch]\ntrial_partition = 3\n', "far.toml")
