"""The library of all recipes: what a program is told, how it tells its progress, how it ends, and how trials go on."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.recipes.catalogue import shipped_recipes
from tests.peers.need import need_module
from tests.unit.recipes.job_folder import COMMON, DEADLINE_S, JOB, Asked, Folder, until


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "job")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library in this process, as a program beside it imports it."""
    monkeypatch.syspath_prepend(str(COMMON))
    before = set(sys.modules)
    import beamside_job
    yield beamside_job
    for name in set(sys.modules) - before:
        if name.startswith("beamside_"):
            del sys.modules[name]


def test_that_every_shipped_recipe_brings_the_library_and_its_own_modules() -> None:
    for recipe in shipped_recipes().values():
        assert "def main(" in recipe.files["beamside_task.py"]
        assert "beamside_job.py" in recipe.files
        assert "run.py" not in recipe.files


# -- The task ---------------------------------------------------------------------------------------------------------

def test_that_a_program_learns_its_step_task_and_values(folder: Folder) -> None:
    program = ("from beamside_job import main\n"
               "def f(task):\n"
               "    print(task.step, task.number, task.count, task.cpus, task.inputs, task.parameters,"
               " task.job['id'])\n"
               "    print(list(task.share(10)), task.folder)\n"
               "main({'merge': None, 'integrate': f})\n")
    code, out, error = folder.run(program, {"npt": 5}, ["/a.h5::/x"], BEAMSIDE_STEP="integrate", BEAMSIDE_STEM="-2.3",
                                  BEAMSIDE_TASK="3", BEAMSIDE_TASKS="4", BEAMSIDE_CPUS="2")
    assert (code, error) == (0, "")
    assert out.splitlines() == ["integrate 3 4 2 ['/a.h5::/x'] {'npt': 5} " + JOB["id"], f"[5, 6] {folder.path}"]


@pytest.mark.parametrize("count", [0, 1, 7, 10, 1000])
@pytest.mark.parametrize("tasks", [1, 3, 200])
def test_that_the_shares_of_all_tasks_are_everything_once_in_order(library: Any, count: int, tasks: int) -> None:
    shares = [library.Task({}, {"BEAMSIDE_TASK": str(n), "BEAMSIDE_TASKS": str(tasks)}).share(count)
              for n in range(1, tasks + 1)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_that_a_module_named_for_a_step_is_imported_only_when_that_step_runs(folder: Folder) -> None:
    (folder.path / "one.py").write_text("def work(task): print('worked')\n")
    (folder.path / "two.py").write_text("import no_such_package\n")
    program = "from beamside_job import main\nmain({'run': 'one:work', 'merge': 'two:work'})\n"
    assert folder.run(program) == (0, "worked\n", "")
    code, _, error = folder.run(program, BEAMSIDE_STEP="merge")
    assert (code, len(error.splitlines())) == (1, 1)
    assert "no_such_package is not installed in this job's Python" in error
    code, _, error = folder.run(program, BEAMSIDE_STEP="other")
    assert (code, error) == (1, "The program of this recipe has no step “other”; it has merge, run.\n")


@pytest.mark.parametrize(("raised", "said"), [
    ("Fault('The mask has 3 pixels.')", "The mask has 3 pixels."),
    ("MemoryError()", "The job's memory was not enough: ask for more."),
    ("OSError(28, 'No space left', 'x.h5')", "The disk is full (x.h5)."),
    ("OSError(122, 'Disk quota exceeded', 'x.h5')", "Your quota at the facility is used up (x.h5)."),
    ("OSError('Unable to write (file write failed: errno = 28, error message = x)')", "The disk is full ({folder})."),
    ("RuntimeError('unable to close file, errno = 28, x')", "The disk is full ({folder})."),
    ("PermissionError(13, 'Permission denied', '/a')", "Permission denied: /a"),
])
def test_that_what_goes_wrong_is_one_sentence_and_exit_code_1(folder: Folder, raised: str, said: str) -> None:
    code, _, error = folder.run(f"from beamside_job import *\ndef f(task): raise {raised}\nmain({{'run': f}})\n")
    assert (code, error) == (1, said.format(folder=folder.path) + "\n")


@pytest.mark.parametrize(("fault", "said"), [
    ("Name them in “flats”, or set “mode” to “plain”.", "Name them in “Flat fields”, or set “Mode” to “plain”."),
    ("It needs the energy (energy): set it.", "It needs the energy: set it."),
    ("Frame 3 is 0: leave it out (frames).", "Frame 3 is 0: leave it out (“Frames”)."),
    ("/data/(frames)/x.h5 is not there (other).", "/data/(frames)/x.h5 is not there (other).")])
def test_that_a_fault_calls_parameters_as_the_form_does(folder: Folder, fault: str, said: str) -> None:
    folder.prepare(f"from beamside_job import *\ndef f(task): raise Fault({fault!r})\nmain({{'run': f}})\n")
    (folder.path / "parameters.json").write_text(json.dumps({**folder.json("parameters.json"), "titles": {
        "flats": "Flat fields", "mode": "Mode", "energy": "Energy", "frames": "Frames"}}))
    with folder.start() as process:
        _, error = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, error) == (1, said + "\n")


def test_that_a_mistake_of_the_program_keeps_its_traceback(folder: Folder) -> None:
    code, _, error = folder.run("from beamside_job import main\ndef f(task): 1 / 0\nmain({'run': f})\n")
    assert code == 1
    assert "Traceback" in error
    assert "ZeroDivisionError" in error


def test_that_a_python_without_h5py_is_told_in_one_sentence(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "h5py.py").write_text("raise ImportError('gone', name='h5py')")
    code, _, error = folder.run("from beamside_job import main\nmain({})\n", PYTHONPATH=str(tmp_path / "empty"))
    assert (code, len(error.splitlines())) == (1, 1)
    assert error.startswith("h5py is not installed in this job's Python")


def test_that_a_program_told_to_stop_ends_with_143_and_leaves_no_half_file(folder: Folder) -> None:
    folder.prepare("import pathlib, time\nfrom beamside_job import main, whole_file\n"
                   "def f(task):\n"
                   "    with whole_file('result.h5') as part:\n"
                   "        pathlib.Path(part).write_text('half')\n"
                   "        pathlib.Path('here').touch()\n"
                   "        time.sleep(60)\n"
                   "main({'run': f})\n")
    with folder.start() as process:
        until((folder.path / "here").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143
    assert not list(folder.path.glob("*result*"))
    assert not list(folder.path.glob(".*part"))


# -- Progress and provenance ------------------------------------------------------------------------------------------

def test_that_progress_is_whole_in_the_tasks_own_file_and_complete_at_the_end(folder: Folder) -> None:
    program = ("from beamside_job import main\n"
               "def f(task):\n"
               "    p = task.progress(5, 'frames')\n"
               "    p.text('reading'); p.preview('preview.h5', '/entry/mean')\n"
               "    for _ in range(5): p.step()\n"
               "main({'run': f})\n")
    assert folder.run(program, BEAMSIDE_STEM="-2.7")[0] == 0
    said = folder.json("progress-2.7.json")
    assert said.pop("time") == pytest.approx(time.time(), abs=DEADLINE_S)
    assert said == {"done": 5, "total": 5, "unit": "frames", "text": "reading", "preview": "preview.h5::/entry/mean"}
    assert sorted(p.name for p in folder.path.iterdir() if "progress" in p.name) == ["progress-2.7.json"]


def test_that_progress_is_written_at_most_once_a_second(library: Any, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(sys.modules["beamside_task"].time, "monotonic", lambda: clock[0])
    progress = library.Progress(10, "frames", str(tmp_path / "progress.json"))
    progress.step()
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 0
    clock[0] += 1.01
    progress.step()
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 2


def test_that_progress_that_cannot_be_written_does_not_end_the_analysis(folder: Folder) -> None:
    (folder.path / "progress.json").mkdir()
    program = ("from beamside_job import main\n"
               "def f(task):\n"
               "    p = task.progress(2, 'frames'); p.write(); p.step(2); print('done')\n"
               "main({'run': f})\n")
    code, out, error = folder.run(program)
    assert (code, out) == (0, "done\n")
    assert error.count("The progress cannot be told") == 1


def test_that_a_result_says_how_it_was_made(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    task = library.Task({"job": JOB, "inputs": ["/a"], "parameters": {"b": 1, "a": None}}, {})
    with h5py.File(tmp_path / "r.h5", "w") as file:
        library.write_provenance(file.create_group("entry"), task, "pyFAI", "2026", library.now(),
                                 mask=np.ones((2, 2), np.int8), geometry={"dist": 1.0})
        group = file["entry/process"]
        said = {k: v[()].decode() for k, v in group.items() if v.dtype.kind == "O"}
        assert group.attrs["NX_class"] == "NXprocess"
        assert group["mask"].shape == (2, 2)
    assert [said[k] for k in ("program", "recipe", "recipe_version", "scheduler_id")] == ["pyFAI", "r", "2.0", "17"]
    assert json.loads(said["parameters"]) == {"b": 1, "a": None}
    assert json.loads(said["inputs"]) == ["/a"]
    assert json.loads(said["geometry"]) == {"dist": 1.0}
    assert said["start_time"] <= said["end_time"]


# -- Frames -----------------------------------------------------------------------------------------------------------

def test_that_sentinels_of_every_type_become_nan(library: Any) -> None:
    for dtype, values, bad in (("u2", [0, 65534, 65535], 1), ("u4", [5, 2**32 - 2, 2**32 - 1], 2),
                               ("i4", [3, -1, -2], 2), ("f4", [1, np.nan, np.inf], 2), (">u2", [1, 2, 65535], 1)):
        out = library.without_sentinels(np.array([values], dtype))
        assert out.dtype == np.float32
        assert np.isnan(out).sum() == bad
        assert np.isnan(out[0, -bad:]).all()


@pytest.mark.parametrize(("chosen", "expected"), [("", range(10)), ("3", [3]), ("-1", [9]), ("2:4,::5", [2, 3, 0, 5]),
                                                  (" 8: ", [8, 9]), (None, range(10))])
def test_that_frames_are_chosen_as_numpy_does(library: Any, chosen: str | None, expected: Any) -> None:
    assert library.select_frames(chosen, 10, "x") == list(expected)


@pytest.mark.parametrize(("chosen", "said"), [("10", "do not fit the 10 frames"), ("5:2", "select nothing")])
def test_that_frames_that_are_not_there_are_told(library: Any, chosen: str, said: str) -> None:
    with pytest.raises(library.Fault, match=said):
        library.select_frames(chosen, 10, "x")


def test_that_a_folder_a_pattern_and_a_list_of_images_are_series_in_the_order_of_their_numbers(
        library: Any, tmp_path: Path) -> None:
    fabio = need_module("fabio")
    names = [str(tmp_path / f"img_{n}.edf") for n in (1, 2, 10)]
    for value, name in enumerate(names):
        fabio.edfimage.EdfImage(data=np.full((3, 4), value, np.int32)).write(name)
    (tmp_path / "notes.txt").write_text("no image")
    for inputs in ([str(tmp_path)], [str(tmp_path / "img_*.edf")], names):
        source, = library.sources(inputs)
        assert (len(source), source.shape, source.leading) == (3, (3, 4), (3,))
        assert [frame[0, 0] for _, frame in source.frames(range(3))] == [0, 1, 2]


def test_that_a_series_is_found_by_the_name_it_is_shown_with(library: Any, tmp_path: Path) -> None:
    fabio = need_module("fabio")
    folder = tmp_path / "run [1] #2"
    folder.mkdir()
    for value, name in enumerate(("a#b_9.edf", "a#b_10.edf", "a#b_11.edf", "a#b_x.edf", "ab_12.edf")):
        fabio.edfimage.EdfImage(data=np.full((3, 4), value, np.int32)).write(str(folder / name))
    source, = library.sources([f"{folder}/a#b_#.edf"])
    assert [frame[0, 0] for _, frame in source.frames(range(len(source)))] == [0, 1, 2]
    with pytest.raises(library.Fault, match="There are no files"):
        library.sources([f"{folder}/c_#.edf"])
    (folder / "a#b_10.edf").unlink()
    with pytest.raises(library.Fault, match=r"has no file with the number 10, so its frames cannot be counted"):
        library.sources([f"{folder}/a#b_#.edf"])


def test_that_read_ahead_keeps_the_order_and_raises_at_its_item(library: Any) -> None:
    got: list[int] = []
    with pytest.raises(ZeroDivisionError):
        got.extend(value for _, value in library.read_ahead(lambda n: 6 // n, [3, 2, 1, 0, 5]))
    assert got == [2, 3, 6]


def test_that_a_frame_that_cannot_be_read_is_named(library: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("d", data=np.arange(4 * 30 * 40, dtype="u4").reshape(4, 30, 40),
                                   chunks=(1, 30, 40), compression="gzip")
        place = data.id.get_chunk_info(2).byte_offset
    with open(path, "r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * 40)
    source = library.Source(str(path))
    assert source.frame(1).shape == (30, 40)
    with pytest.raises(library.Fault, match=r"^Frame 2 of .*broken\.h5 cannot be read: .*\.$"):
        source.frame(2)


def test_that_a_virtual_stack_whose_parts_are_gone_is_refused(library: Any, beamside_data: Path) -> None:
    path = beamside_data / "mx" / "DLS_i03_i04_NXmx_Therm_6_2.nxs"      # its parts by links that dangle
    with pytest.raises(library.Fault, match="its part /entry/data/data_000001 is not there"):
        library.Source(str(path))


@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_that_a_frame_that_was_never_written_is_no_frame_of_zeros(library: Any, tmp_path: Path,
                                                                  leading: tuple[int, ...]) -> None:
    path = tmp_path / "stopped.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("d", (*leading, 30, 40), "u2", chunks=(*(1 for _ in leading), 10, 40))
        data[(0,) * len(leading)] = np.zeros((30, 40), "u2")
    source = library.Source(str(path))
    assert source.frame(0).sum() == 0
    with pytest.raises(library.Fault, match=r"Frame 2 of .* was never written"):
        source.frame(2)


# -- Trials -----------------------------------------------------------------------------------------------------------

TRIAL = """
import pathlib, time
import numpy as np
from beamside_job import Fault, main
KEPT = []
def g(task):
    KEPT.append(task.parameters["x"])
    if task.parameters.get("wait"):
        pathlib.Path("busy").touch()
        while not pathlib.Path("go").exists(): time.sleep(0.01)
    if task.parameters["x"] == 13:
        raise Fault("Thirteen brings bad luck.")
    if task.parameters["x"] == 14:
        raise ValueError("a mistake")
    task.answer["entry/sum"] = np.array(KEPT)
    task.answer["entry/other"] = task.parameters["y"]
    return "/entry"
main({"trial": g})
"""


@pytest.fixture
def trial(folder: Folder) -> Iterator[Asked]:
    folder.prepare(TRIAL, {"x": 0, "y": 5})
    asked = Asked(folder)
    with folder.start(BEAMSIDE_STEP="trial") as process:
        yield asked
        asked.ask({"stop": True})
        _, error = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, error


def test_that_a_trial_is_ready_first_and_answers_with_what_it_kept(trial: Asked) -> None:
    assert until(trial.answers) == [{"ready": True}]
    for number, x in ((1, 7), (2, 8)):
        trial.ask({"n": number, "parameters": {"x": x}})
        said = trial.answer(number)
        assert said["file"] == f"trial/answer-{number}.h5"
        assert (said["data_path"], said["seconds"] >= 0) == ("/entry", True)
    with h5py.File(trial.folder / "answer-2.h5") as file:
        assert file["entry/sum"][()].tolist() == [7, 8]
        assert file["entry/other"][()] == 5
    assert not list(trial.folder.glob(".*"))


def test_that_only_the_newest_of_the_questions_that_wait_is_answered(trial: Asked, folder: Folder) -> None:
    trial.ask({"n": 1, "parameters": {"x": 1, "wait": True}})
    until((folder.path / "busy").exists)
    for number in (2, 3, 4):
        trial.ask({"n": number, "parameters": {"x": number}})
    (folder.path / "go").touch()
    trial.answer(4)
    assert [a["n"] for a in trial.answers() if "n" in a] == [1, 4]


def test_that_a_fault_or_a_mistake_is_an_answer_and_the_trial_goes_on(trial: Asked) -> None:
    trial.ask({"n": 1, "parameters": {"x": 13}})
    assert trial.answer(1) == {"n": 1, "fault": "Thirteen brings bad luck."}
    trial.ask({"n": 2, "parameters": {"x": 14}})
    assert trial.answer(2) == {"n": 2, "fault": "The recipe failed on these parameters: ValueError: a mistake"}
    trial.ask("no json\n")
    trial.ask('{"n": 3, "parame')
    trial.ask('ters": {"x": 1}}\n')
    assert trial.answer(3)["data_path"] == "/entry"


def test_that_old_answers_are_taken_away(trial: Asked) -> None:
    for number in range(1, 8):
        trial.ask({"n": number, "parameters": {"x": 1}})
        trial.answer(number)
    until(lambda: len(list(trial.folder.glob("answer-*.h5"))) <= 4)
    assert (trial.folder / "answer-7.h5").exists()
    assert not (trial.folder / "answer-1.h5").exists()


def test_that_a_trial_without_questions_ends_by_itself(folder: Folder) -> None:
    folder.prepare(TRIAL, {"x": 0}, idle_min=0.002)
    asked = Asked(folder)
    with folder.start(BEAMSIDE_STEP="trial") as process:
        assert process.wait(DEADLINE_S) == 0
    assert asked.answers() == [{"ready": True}]
