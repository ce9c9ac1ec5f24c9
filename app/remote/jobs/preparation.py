"""Everything that can be checked before a job is submitted, and its scripts. Blocking; creates nothing at the site."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import PurePosixPath

from app.errors import BatchError, NotFoundError, PermissionError_, RecipeError, SubmissionRefusedError
from app.model.jobs import InputExtent, JobKind, JobSpec, Partition
from app.model.site import SiteProfile
from app.recipes.containers import container_problem, container_words, image_path, job_binds, mount_points
from app.recipes.needs import Lacking, lacking
from app.recipes.parameters import complete, paths_in, with_paths
from app.recipes.recipe import Recipe
from app.recipes.script import Earlier, StepScript
from app.remote.jobs.batch_system import BatchSystem
from app.remote.jobs.draft import Draft, StepDraft, absolute, count_inputs, file_of
from app.remote.jobs.names import job_name, new_job_id, script_file, step_stem
from app.remote.jobs.place import home_folder, inside, job_place, raw_place
from app.remote.jobs.rest import Rest
from app.remote.jobs.site_room import look_at_room, room_warning
from app.remote.jobs.steps import ResolvedStep, Room, resolve_steps
from app.remote.jobs.store import JobStore, PathState
from app.remote.jobs.submission_text import can_hold, submission_text
from app.remote.jobs.waiting import Predecessor
from app.remote.scheduler.fields import plain
from app.remote.scheduler.states import StepWish
from app.remote.seams import Transport

_log = logging.getLogger(__name__)


class Preparation:
    """Prepares jobs of one site."""

    def __init__(self, profile: SiteProfile, store: JobStore, batch: BatchSystem, told: set[PurePosixPath]) -> None:
        """``told``: folders that the person was warned of already; a live set."""
        self._told = told
        self._profile = profile
        self._store = store
        self._batch = batch

    def draft(self, spec: JobSpec, recipe: Recipe, after: Sequence[Predecessor],
              transport: Transport, rest: Rest | None = None) -> Draft:
        """Check what is asked for against recipe, files, place and partitions, and write the scripts.

        Args:
            rest: only this is run, with what an earlier job completed.

        Raises:
            RecipeError: the recipe or a parameter does not fit.
            NotFoundError, PermissionError_: an input or a file among the parameters; a place that is no place.
            SubmissionRefusedError: the partition, the account, the time …
            SchedulerUnavailableError, LinkError.
        """
        count_inputs(recipe, len(spec.inputs))
        home = self._store.home
        parameters = with_paths(recipe, complete(recipe, spec.parameters), lambda text: absolute(text, home))
        lacks = lacking(recipe, parameters, spec.in_data) if spec.kind is JobKind.RUN and rest is None else Lacking()
        if lacks.certain:
            raise RecipeError(lacks.sentence)
        inputs = tuple(absolute(text, home) for text in spec.inputs)
        files = [(file_of(text), "") for text in inputs]
        files += [(file_of(text), f"“{parameter.title}”: ") for parameter, text in paths_in(recipe, parameters)]
        parent, states, warnings = self._place(home, files, spec.kind)
        warnings += [lacks.sentence] if lacks.names else []
        sizes = [InputExtent(nbytes=state.nbytes) for state in states[:len(inputs)]]
        extents = spec.extents if len(spec.extents) == len(inputs) else sizes
        partitions = self._partitions_if_known()
        steps, told = resolve_steps(recipe, spec, extents, Room(
            self._profile.label, partitions, self._profile.batch.account, self._profile.batch.trial_partition))
        steps = rest.of(steps) if rest is not None else steps
        for step in steps:
            self._check_account(step.resources.account, step.resources.partition)
        if spec.kind is JobKind.RUN:
            needed = sum(extent.uncompressed for extent in extents)
            room = room_warning(look_at_room(lambda: transport, parent), needed)
            warnings += [room] if room else []
        down = dict.fromkeys(p for step in steps if (p := self.partition_down(step.resources.partition)))
        warnings += [f"The partition {p.why_down}. A job waits there until it is in service again." for p in down]
        job_id = new_job_id()
        folder = parent / job_id
        if recipe.image:
            self._check_image(recipe, folder, [file for file, _ in files], home)
        drafts = self._scripts(job_id, folder, recipe, spec, steps, after, [file for file, _ in files], home)
        name = spec.name.strip() or f"{recipe.title} of {file_of(inputs[0]).name}"
        name = rest.name(name) if rest is not None else name
        dialect = self._batch.dialect
        held = (len(steps) > 1 or spec.hold) and can_hold(dialect)
        submission = submission_text(dialect, len(steps), [p.scheduler_id for p in after], held and not spec.hold,
                                     self._batch.in_login_shell, rest.folder if rest is not None else None)
        return Draft(job_id, self._profile.name, name, recipe, folder, drafts, submission, spec, inputs, parameters,
                     time.time(), tuple(p.job.id for p in after), (*warnings, *told), rest)

    def _place(self, home: PurePosixPath, files: Sequence[tuple[PurePosixPath, str]],
               kind: JobKind) -> tuple[PurePosixPath, list[PathState], list[str]]:
        """The folder for the job's folder, what is known of the files, and what there is to warn of.

        Args:
            files: the inputs, and files among the parameters with the words that begin a sentence about them.
        """
        place = job_place(home, self._profile.data, files[0][0])
        raw = place.raw or place.folder
        parent, raw_state, *states = self._store.probe([place.folder, raw, *(file for file, _ in files)])
        for (file, told), state in zip(files, states, strict=True):
            if not state.exists:
                raise NotFoundError(f"{told}{file} is not at {self._profile.label}, or you may not look there.",
                                    remedy="Check the path.")
            if not state.readable:
                raise PermissionError_(f"{told}you may not read {file}." if told else f"You may not read {file}.",
                                       remedy="Ask its owner or the facility for access.")
        if place.raw is not None and inside(parent.real, raw_state.real):
            raise raw_place(place.folder)
        if place.visit is None or parent.writable:
            if not parent.open_to_others or kind is not JobKind.RUN or place.folder in self._told:
                return place.folder, states, []
            self._told.add(place.folder)
            sentence = f"Everybody who may write in {place.folder} can put another program into the place of your job"
            return place.folder, states, [f"{sentence}: its owner can prevent that with chmod +t."]
        elsewhere = home_folder(home)
        return elsewhere, states, [
            f"You may not write in {place.folder.parent}: the job and its results go to {elsewhere}."]

    def _scripts(self, job_id: str, folder: PurePosixPath, recipe: Recipe, spec: JobSpec, steps: Sequence[ResolvedStep],
                 after: Sequence[Predecessor], files: Sequence[PurePosixPath],
                 home: PurePosixPath) -> tuple[StepDraft, ...]:
        dialect, software = self._batch.dialect, self._profile.software
        hold = (len(steps) > 1 or spec.hold) and can_hold(dialect)
        if spec.hold and not hold:
            raise SubmissionRefusedError(f"A job cannot be submitted held with {dialect.title}.",
                                         remedy="Submit it without holding it.")
        out = []
        for number, step in enumerate(steps, 1):
            earlier: list[Earlier] = []
            if not dialect.waits_for_success and number == 1:
                earlier = [Earlier(PurePosixPath(p.job.folder), step_stem(p.last.number), p.last.tasks,
                                   f"the job {p.job.id}", p.last.only) for p in after]
            elif not dialect.waits_for_success:
                before = steps[number - 2]
                earlier = [Earlier(folder, step_stem(number - 1), before.tasks, f"the step “{before.title}”",
                                   before.only)]
            header = dialect.header(StepWish(job_name(job_id, number), f"job{step_stem(number)}", step.resources,
                                             step.submitted_tasks, step.at_once if step.submitted_tasks else None,
                                             hold and number == 1))
            image, words = self._container(recipe, folder, files, home, bool(step.resources.gpus))
            script = StepScript(header, folder, step.name, step_stem(number), step.tasks, dialect.variables,
                                software.setup, software.environments.get(recipe.environment, ""), words, image,
                                earlier, records=number == 1, only=step.only, environment_name=recipe.environment)
            out.append(StepDraft(step.name, step.title, script_file(number), script.text(), step.resources, step.tasks,
                                 step.at_once, step.only))
        return tuple(out)

    def _container(self, recipe: Recipe, folder: PurePosixPath, files: Sequence[PurePosixPath], home: PurePosixPath,
                   gpus: bool) -> tuple[str, str]:
        """The image's path and the words that run a program in it; empty: the recipe needs none."""
        if not recipe.image:
            return "", ""
        software = self._profile.software
        image = image_path(recipe.image, software.images)
        binds = job_binds(folder, home, files, software.binds)
        if problem := container_problem(software.containers, image, binds, folder):
            raise RecipeError(problem, remedy="Correct the site's profile, or ask the facility.")
        return image, container_words(software.containers, image, binds, folder, gpus=gpus)

    def _check_image(self, recipe: Recipe, folder: PurePosixPath, files: Sequence[PurePosixPath],
                     home: PurePosixPath) -> None:
        """Refuse an image that is not there, and one for ch-run without the folders where data is shown."""
        image, _ = self._container(recipe, folder, files, home, False)
        if not image.startswith("/"):
            return      # a name that podman knows
        points = mount_points(job_binds(folder, home, files, self._profile.software.binds), folder)
        inside = [PurePosixPath(image + str(point)) for point in (PurePosixPath("/dev"), *points)]
        there, is_unpacked, *shown = self._store.probe([PurePosixPath(image), *inside])
        if not there.exists or not there.readable:
            raise RecipeError(f"The container image {image} is not at {self._profile.label}, or you may not read it.",
                              remedy="Ask the facility.")
        lacking = [str(point) for point, state in zip(points, shown, strict=True) if not state.exists]
        if self._profile.software.containers == "ch-run" and is_unpacked.exists and lacking:
            raise RecipeError(f"The container image {image} has no folder {' and no folder '.join(lacking)}, where "
                              "ch-run would show it the facility's.", remedy="Ask whoever made the image to add it.")

    def _check_account(self, account: str, partition: str) -> None:
        """Refuse an account that this user does not have, as far as the batch system says which there are."""
        if not account:
            return
        try:
            accounts = self._batch.accounts()
        except BatchError as error:
            _log.info("accounts of %s are not known: %s", self._profile.name, error.summary)
            return
        found = [a for a in accounts if a.name == account]
        if accounts and not found:
            raise SubmissionRefusedError(f"You may not use the account “{plain(account)}” at {self._profile.label}.",
                                         remedy=f"Choose one of {', '.join(a.name for a in accounts)}.")
        if partition and found and all(a.partitions and partition not in a.partitions for a in found):
            raise SubmissionRefusedError(
                f"The account “{account}” may not be used with the partition “{partition}”.",
                remedy=f"Choose one of {', '.join(p for a in found for p in a.partitions)}.")

    def partition_down(self, name: str) -> Partition | None:
        """The partition of that name (``""``: the default) if it is known to be down."""
        return next((p for p in self._partitions_if_known()
                     if not p.up and (p.name == name if name else p.default)), None)

    def _partitions_if_known(self) -> list[Partition]:
        try:
            return self._batch.partitions()
        except BatchError as error:
            _log.info("partitions of %s are not known: %s", self._profile.name, error.summary)
            return []


