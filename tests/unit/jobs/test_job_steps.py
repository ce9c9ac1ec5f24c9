"""Resources by the size of the input, tasks by its frames, and what a partition does not allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.errors import RecipeError, SubmissionRefusedError
from app.model.jobs import InputExtent, JobSpec, Partition, Resources
from app.recipes.recipe import Recipe
from app.remote.jobs.steps import Room, frames_of, resolve_steps

ROOM = Room("Near", (Partition("debug", default=True, time_limit_s=3600, cpus_total=8),
                     Partition("long", time_limit_s=7 * 86400, cpus_total=64), Partition("gpu", cpus_total=8)), "proj")


@pytest.fixture
def steps(chain: Recipe) -> Callable[..., list[tuple[str, int, Resources]]]:
    def resolve(frames: int | None, nbytes: int = 0, **changes: object) -> list[tuple[str, int, Resources]]:
        extents = [InputExtent((frames, 1000, 1000), 4) if frames else InputExtent(nbytes=nbytes)]
        spec = JobSpec("near", "chain", ("x",), {}, **changes)  # type: ignore[arg-type]
        return [(s.name, s.tasks, s.resources) for s in resolve_steps(chain, spec, extents, ROOM)[0]]
    return resolve


def test_that_each_task_gets_what_its_part_of_the_input_needs(steps: Callable[..., list[tuple[str, int, Resources]]]) \
        -> None:
    (each, tasks, first), (merge, none, second) = steps(1000)
    assert (each, tasks, merge, none) == ("each", 100, "merge", 0)
    assert first == Resources("", "proj", 11, 2, 1004)      # 40 MB each: 2.4 s and 4 MB more
    assert second == Resources("", "proj", 5, 1, 500)
    (_, none, alone), = steps(10)
    assert (none, alone.memory_mb) == (0, 1004)
    (_, none, by_file), = steps(None, nbytes=10 * 10**9)
    assert (none, by_file.time_limit_min, by_file.memory_mb) == (0, 20, 2000)


def test_that_the_users_wish_counts_before_the_rule(steps: Callable[..., list[tuple[str, int, Resources]]]) -> None:
    found = steps(1000, tasks=7, resources=Resources("long", "other", 600, 16, 9000),
                  step_resources={"merge": Resources(time_limit_min=9)})
    assert found == [("each", 7, Resources("long", "other", 600, 16, 9000)),
                     ("merge", 0, Resources("long", "other", 9, 1, 500))]


def test_that_a_step_on_its_own_partition_stays_there(chain: Recipe) -> None:
    merge = replace(chain.steps[1], rule=replace(chain.steps[1].rule, base=Resources("gpu", gpus=1)))
    found, _ = resolve_steps(replace(chain, steps=(chain.steps[0], merge)),
                             JobSpec("near", "chain", ("x",), {}, Resources("long")), [InputExtent((40, 9, 9), 1)],
                             ROOM)
    assert [(s.resources.partition, s.resources.gpus) for s in found] == [("long", None), ("gpu", 1)]


def test_that_an_estimate_above_the_partitions_limit_is_cut_and_told(chain: Recipe) -> None:
    found, warnings = resolve_steps(chain, JobSpec("near", "chain", ("x",), {}), [InputExtent(nbytes=10**11)], ROOM)
    assert found[0].resources.time_limit_min == 60
    assert warnings == ["It may need 110 min for this much data, but the partition “debug” allows 60 min."]


@pytest.mark.parametrize(("changes", "words"), [
    ({"resources": Resources("nope")}, "“nope” does not exist at Near"),
    ({"resources": Resources("a\ntouch x\x1b")}, "“a touch x�” does not exist at Near"),
    ({"resources": Resources(time_limit_min=61)}, "above the 60 min of the partition “debug”"),
    ({"resources": Resources(cpus=9)}, "has 8 CPUs"),
    ({"tasks": 0}, "cannot be divided into 0 tasks"),
    ({"tasks": 201}, "cannot be divided into 201 tasks"),
    ({"step_resources": {"merge": Resources("nope")}}, "does not exist"),
])
def test_that_what_cannot_be_had_is_refused(steps: Callable[..., list[tuple[str, int, Resources]]],
                                            changes: dict[str, object], words: str) -> None:
    with pytest.raises(SubmissionRefusedError, match=words):
        steps(5000, **changes)


def test_that_a_step_nobody_knows_is_refused(steps: Callable[..., list[tuple[str, int, Resources]]]) -> None:
    with pytest.raises(RecipeError, match="no step “x”"):
        steps(5, step_resources={"x": Resources()})


def test_that_frames_are_known_only_if_they_are_of_every_input() -> None:
    assert frames_of([InputExtent((3, 4, 9, 9)), InputExtent((2, 9, 9))]) == 14
    assert frames_of([InputExtent((3, 9, 9)), InputExtent(nbytes=5)]) is None
    assert frames_of([]) is None
