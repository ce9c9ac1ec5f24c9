"""What is checked before a submission: place, account, room, container, and what the batch system would say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from app.errors import BatchError, PermissionError_, RecipeError, SubmissionRefusedError
from app.model.jobs import InputExtent, JobSpec, Resources
from app.model.site import DataSettings, SiteProfile, SoftwareSettings
from app.recipes.recipe import Recipe
from app.remote.jobs.place import home_folder, job_place
from app.remote.jobs.service import JobService
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")


@pytest.fixture
def spec(scan: Path) -> JobSpec:
    return JobSpec("near", "chain", (str(scan),), {})


@pytest.fixture
def with_profile(profile: SiteProfile, link: FakeLink, slurm: FakeSlurm, chain: Recipe) -> Callable[..., JobService]:
    def make(recipe: Recipe = chain, **changes: object) -> JobService:
        return JobService(replace(profile, **changes), lambda: link, {recipe.name: recipe})  # type: ignore[arg-type]
    return make


# -- Raw data is never written to -------------------------------------------------------------------------------------

@pytest.mark.parametrize("processed", [
    "RAW_DATA", "RAW_DATA/results", "x/../RAW_DATA", "../other/PROCESSED", "./RAW_DATA", "RAW_DATA/", "/elsewhere"])
def test_that_a_profile_cannot_send_results_into_raw_data_or_out_of_the_visit(
        with_profile: Callable[..., JobService], profile: SiteProfile, spec: JobSpec, scan: Path,
        processed: str) -> None:
    service = with_profile(data=replace(profile.data, processed=processed))
    with pytest.raises(PermissionError_, match="among the raw data or outside of the visit"):
        service.submit(spec)
    assert [path.name for path in scan.parent.iterdir()] == ["scan.h5"]


def test_that_a_link_into_the_raw_data_is_no_place_for_results(
        service: JobService, spec: JobSpec, scan: Path) -> None:
    (scan.parent.parent / "PROCESSED_DATA").symlink_to(scan.parent, target_is_directory=True)
    with pytest.raises(PermissionError_, match="raw data"):
        service.submit(spec)
    assert [path.name for path in scan.parent.iterdir()] == ["scan.h5"]


def test_that_names_the_batch_system_or_the_index_would_change_send_a_job_home() -> None:
    data, home = DataSettings(roots=("/data/{proposal}",)), PurePosixPath("/home/me")
    for name in ("a%j", "a\\b", "a\nb", "a\x1eb", "a\tb"):
        assert job_place(home, data, PurePosixPath(f"/data/{name}/RAW_DATA/x.h5")).folder == home_folder(home)
    assert job_place(home, data, PurePosixPath("/data/it's $(x)/RAW_DATA/x.h5")).visit is not None


def test_that_a_visit_that_may_not_be_written_is_told_and_avoided(
        with_profile: Callable[..., JobService], spec: JobSpec, scan: Path, own_home: Path) -> None:
    (scan.parent.parent / "PROCESSED_DATA").write_text("no folder")
    draft = with_profile().prepare(spec)
    assert draft.folder.parent == PurePosixPath(own_home) / "beamside-jobs"
    assert draft.warnings[0].startswith(f"You may not write in {scan.parent.parent}/PROCESSED_DATA: the job and its")


# -- Accounts, room, containers, a trial submission -------------------------------------------------------------------

def test_that_an_account_has_to_be_among_those_one_has(service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    (slurm.root / "accounts").write_text("mine|mine|\nmine|other|long\n")
    assert [a.name for a in service.accounts()] == ["mine", "other"]
    with pytest.raises(SubmissionRefusedError, match="may not use the account “theirs”") as caught:
        service.prepare(replace(spec, resources=Resources(account="theirs")))
    assert caught.value.remedy == "Choose one of mine, other."
    with pytest.raises(SubmissionRefusedError, match="may not use the account “the irs�” at"):
        service.prepare(replace(spec, resources=Resources(account="the\nirs\x1b")))
    with pytest.raises(SubmissionRefusedError, match="may not be used with the partition “debug”"):
        service.prepare(replace(spec, resources=Resources("debug", "other")))
    assert service.prepare(replace(spec, resources=Resources("long", "other"))).resources.account == "other"
    assert slurm.calls("sacctmgr") == 1


def test_that_a_site_that_does_not_tell_accounts_is_believed(service: JobService, spec: JobSpec,
                                                            slurm: FakeSlurm) -> None:
    slurm.fails("sacctmgr", "sacctmgr: error: no database")
    assert service.prepare(replace(spec, resources=Resources(account="any"))).resources.account == "any"


def test_that_too_little_room_is_a_warning(service: JobService, spec: JobSpec, scan: Path) -> None:
    assert service.prepare(spec).warnings == ()
    big = replace(spec, extents=(InputExtent(nbytes=10**18),), resources=Resources(memory_mb=1, time_limit_min=1))
    (warning,) = service.prepare(big).warnings
    assert warning.endswith("and the input has 1e+09 GB: the results may not fit.")
    space = service.space(str(scan.parent / "not" / "there"))
    assert space.free is not None
    assert space.total is not None
    assert 0 < space.free <= space.total


def test_that_a_container_is_put_before_the_program_or_refused(
        with_profile: Callable[..., JobService], chain: Recipe, spec: JobSpec, tmp_path: Path) -> None:
    boxed, image = replace(chain, image="saxs"), tmp_path / "saxs.sif"
    image.touch()
    with pytest.raises(RecipeError, match="does not say how containers are run"):
        with_profile(boxed).prepare(spec)
    software = SoftwareSettings(containers="apptainer", images={"saxs": str(image)})
    script = with_profile(boxed, software=software).prepare(spec).script
    assert f" {image} python3 run.py parameters.json" in script
    with pytest.raises(RecipeError, match="is not in the site's profile"):
        with_profile(boxed, software=replace(software, images={})).prepare(spec)


def test_that_the_batch_system_is_asked_when_a_draft_would_start(service: JobService, spec: JobSpec,
                                                                 slurm: FakeSlurm, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    draft = service.prepare(spec)
    assert service.expected_start(draft) == 1795350000.0
    assert slurm.numbers() == []
    slurm.fails("sbatch", "allocation failure: Invalid account or account/partition combination specified\n")
    with pytest.raises(SubmissionRefusedError, match="account"):
        service.expected_start(draft)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("partition", ["", "debug"])
def test_that_a_partition_that_is_down_is_told_before_and_forecasts_nothing(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, partition: str) -> None:
    slurm.close("debug")
    told = "The partition “debug” is down. A job waits there until it is in service again."
    draft = service.prepare(replace(spec, resources=Resources(partition=partition)))
    assert [w for w in draft.warnings if "down" in w] == [told]
    assert service.expected_start(draft) is None
    draft = service.prepare(replace(spec, resources=Resources(partition="long")))
    assert not [w for w in draft.warnings if "down" in w]
    assert service.expected_start(draft) == 1795350000.0


def test_that_a_script_of_hostile_texts_is_still_what_was_meant(
        with_profile: Callable[..., JobService], chain: Recipe, spec: JobSpec, scan: Path, tmp_path: Path) -> None:
    evil = f"$(touch {tmp_path}/owned); `touch {tmp_path}/owned` 'x' \"y\" -n é"
    steps = tuple(replace(step, title=evil) for step in chain.steps)
    service = with_profile(replace(chain, steps=steps, title=evil))
    job = service.submit(replace(spec, extents=(InputExtent((40, 9, 9), 1),), name=evil))
    assert service.job(job.id).name == evil
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(("maximum", "words"), [
    (1, "takes 1 input file, not 2."), (None, "takes at least 3 input files, not 2.")])
def test_that_input_files_are_counted_in_words(with_profile: Callable[..., JobService], spec: JobSpec, chain: Recipe,
                                               maximum: int | None, words: str) -> None:
    service = with_profile(replace(chain, inputs_minimum=maximum or 3, inputs_maximum=maximum))
    with pytest.raises(RecipeError) as caught:
        service.prepare(replace(spec, inputs=spec.inputs * 2))
    assert words in caught.value.summary


def test_that_a_job_that_cannot_be_held_says_why_in_one_sentence(service: JobService, spec: JobSpec,
                                                                 slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.fails("scontrol", "scontrol: error: Access/permission denied\n")
    with pytest.raises(BatchError) as caught:
        service.hold(job.id)
    assert caught.value.summary == "The job 100 could not be held: Access/permission denied."
    assert caught.value.remedy
