"""The one tree: Qt's own tester, lazy levels, errors as rows."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester

from app.errors import NotHdf5Error, PermissionError_
from app.model.nodes import EntryKind, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.remote.conversions import folder_listing
from app.session.file_rows import RowKind, RowState, short_type
from app.session.files_model import FilesModel, Role
from app.views.files_proxy import FilesProxy, compile_filter
from tests.gui.fakes import FakeDataService, dataset, folder, group

TOP = PurePosixPath("/data")


@pytest.fixture
def data() -> FakeDataService:
    service = FakeDataService()
    service.folders["/data"] = folder("/data", "raw/", "scan_2.h5", "scan_10.h5", "notes.txt")
    service.folders["/data/raw"] = folder("/data/raw")
    service.groups["/data/scan_2.h5::/"] = (
        group("/1.1", nx_class="NXentry", title="loopscan 1000 0.1"),
        NodeInfo("/gone", NodeKind.EXTERNAL_LINK, target="../xrf.h5::/x", broken=True),
        NodeInfo("/bad", NodeKind.UNREADABLE, error="object header damaged"),
        NodeInfo("/soft", NodeKind.SOFT_LINK, target="/1.1", broken=False, leads_to=NodeKind.GROUP, has_children=True))
    service.groups["/data/scan_2.h5::/1.1"] = (dataset("/1.1/eiger", (1000, 3262, 3108), "uint32", units="counts"),
                                               dataset("/1.1/title", (), "object"))
    return service


@pytest.fixture
def model(qtbot: Any, data: FakeDataService) -> FilesModel:
    model = FilesModel()
    model.set_root(data, "far", TOP)
    qtbot.waitUntil(lambda: model.is_loaded(QModelIndex()))
    return model


def texts(model: QAbstractItemModel, parent: QModelIndex | None = None, column: int = 0) -> list[str]:
    parent = parent or QModelIndex()
    return [str(model.index(row, column, parent).data()) for row in range(model.rowCount(parent))]


def opened(qtbot: Any, model: FilesModel, *names: str) -> QModelIndex:
    index = QModelIndex()
    for name in names:
        index = model.child_named(index, name)
        assert index.isValid(), name
        if model.canFetchMore(index):
            model.fetchMore(index)
        here = index
        qtbot.waitUntil(lambda here=here: model.is_loaded(here))
    return index


def test_that_the_model_keeps_qts_rules_while_levels_come_and_go(qtbot: Any, data: FakeDataService) -> None:
    data.groups["/data/scan_10.h5::/"] = NotHdf5Error("“scan_10.h5” is not an HDF5 file.")
    model = FilesModel()
    proxy = FilesProxy(model)
    how = QAbstractItemModelTester.FailureReportingMode.QtTest
    testers = [QAbstractItemModelTester(one, how) for one in (model, proxy)]
    model.set_root(data, "far", TOP)
    qtbot.waitUntil(lambda: model.rowCount() == 4)
    entry = opened(qtbot, model, "scan_2.h5", "1.1")
    opened(qtbot, model, "scan_10.h5")
    proxy.set_filter("eiger")
    model.refresh(entry.parent())
    qtbot.waitUntil(lambda: model.is_loaded(model.child_named(QModelIndex(), "scan_2.h5")))
    proxy.set_filter("")
    model.set_root(None, "far", TOP)
    assert [model.index(row, 0).data() for row in range(model.rowCount())] == ["Not connected"]
    assert len(testers) == 2


def test_that_a_level_is_asked_only_when_it_is_opened(qtbot: Any, data: FakeDataService, model: FilesModel) -> None:
    assert texts(model) == ["raw", "scan_2.h5", "scan_10.h5", "notes.txt"]
    assert [kind for kind, _ in data.asked].count("nodes") == 0
    file = model.child_named(QModelIndex(), "scan_2.h5")
    assert model.hasChildren(file)
    seen: list[str] = []
    model.rowsInserted.connect(lambda parent, first, _last: seen.append(str(model.index(first, 0, parent).data())))
    model.fetchMore(file)
    qtbot.waitUntil(lambda: model.is_loaded(file))
    assert seen[0] == "Loading…"
    assert texts(model, file) == ["1.1  loopscan 1000 0.1", "gone → ../xrf.h5::/x", "bad", "soft → /1.1"]
    assert [kind for kind, _ in data.asked].count("nodes") == 1


def test_that_the_second_column_tells_shape_type_units_and_class(qtbot: Any, model: FilesModel) -> None:
    entry = opened(qtbot, model, "scan_2.h5", "1.1")
    assert texts(model, entry, 1) == ["1000×3262×3108 uint32 · counts", "scalar text"]
    assert texts(model, column=1) == ["", "4.88 MB", "4.88 MB", "4.88 MB"]
    assert texts(model, entry.parent(), 1) == ["NXentry", "missing file", "unreadable", ""]


def test_that_links_and_damage_are_marked(qtbot: Any, model: FilesModel) -> None:
    file = opened(qtbot, model, "scan_2.h5")
    states = [model.index(row, 0, file).data(Role.STATE) for row in range(4)]
    assert states == [RowState.PLAIN, RowState.BROKEN, RowState.BROKEN, RowState.LINK]
    assert not model.hasChildren(model.child_named(file, "gone"))
    assert "object header damaged" in model.child_named(file, "bad").data(Qt.ItemDataRole.ToolTipRole)


def test_that_a_reference_names_file_and_node(qtbot: Any, model: FilesModel) -> None:
    entry = opened(qtbot, model, "scan_2.h5", "1.1")
    assert str(model.reference(model.child_named(entry, "eiger"))) == "far:/data/scan_2.h5::/1.1/eiger"
    assert model.child_named(entry, "eiger").data(Role.KIND) is RowKind.DATASET


def test_that_a_failure_is_a_row_with_its_sentence_and_refresh_asks_again(qtbot: Any, data: FakeDataService,
                                                                          model: FilesModel) -> None:
    data.groups["/data/scan_10.h5::/"] = NotHdf5Error("“scan_10.h5” is not an HDF5 file.", remedy="Look at it.")
    file = opened(qtbot, model, "scan_10.h5")
    assert texts(model, file) == ["“scan_10.h5” is not an HDF5 file."]
    assert model.reference(model.index(0, 0, file)) is None
    data.groups["/data/scan_10.h5::/"] = (dataset("/image"),)
    model.refresh(file)
    qtbot.waitUntil(lambda: texts(model, file) == ["image"])


def test_that_an_unreadable_folder_at_the_top_says_so(qtbot: Any, data: FakeDataService, model: FilesModel) -> None:
    data.folders["/closed"] = PermissionError_("You may not look into /closed.")
    with qtbot.waitSignal(model.level_failed):
        model.set_root(data, "far", PurePosixPath("/closed"))
    assert texts(model) == ["You may not look into /closed."]


def test_that_an_empty_folder_says_that_it_is_empty(qtbot: Any, model: FilesModel) -> None:
    assert texts(model, opened(qtbot, model, "raw")) == ["Empty"]


def test_that_names_are_shown_with_their_hidden_characters(qtbot: Any, data: FakeDataService,
                                                            model: FilesModel) -> None:
    evil = "a\u202egnp.h5\n<b>x"
    data.folders["/evil"] = FolderListing(PurePosixPath("/evil"), (
        FolderEntry(evil, EntryKind.FILE, 1), FolderEntry("l", EntryKind.LINK, target="/no", target_kind=None),
        FolderEntry("caf\udce9", EntryKind.FOLDER)))
    model.set_root(data, "far", PurePosixPath("/evil"))
    qtbot.waitUntil(lambda: model.rowCount() == 3)
    assert texts(model) == ["a\\u202egnp.h5\\x0a<b>x", "l → /no", "caf\\xe9"]
    assert model.reference(model.index(0, 0)).file_path.name == evil
    assert model.index(1, 0).data(Role.STATE) is RowState.BROKEN


def test_that_a_late_answer_for_a_folder_left_behind_is_dropped(qtbot: Any, data: FakeDataService,
                                                                model: FilesModel) -> None:
    model.set_root(data, "far", TOP)
    data.folders["/other"] = folder("/other", "b.h5")
    model.set_root(data, "far", PurePosixPath("/other"))
    qtbot.waitUntil(lambda: texts(model) == ["b.h5"])


@pytest.mark.parametrize(("text", "shown"), [
    ("scan", ["scan_2.h5", "scan_10.h5"]), ("*_2.h5", ["scan_2.h5"]), ("/_1\\d/", ["scan_10.h5"]), ("nothing", [])])
def test_that_the_filter_takes_text_glob_and_regex(qtbot: Any, model: FilesModel, text: str,
                                                    shown: list[str]) -> None:
    proxy = FilesProxy(model)
    assert proxy.set_filter(text) == ""
    assert texts(proxy) == shown


def test_that_dot_files_are_hidden_until_asked_for(qtbot: Any, data: FakeDataService, model: FilesModel) -> None:
    data.folders["/home"] = folder("/home", ".cache/", "run/", ".profile", "a.h5")
    model.set_root(data, "far", PurePosixPath("/home"))
    qtbot.waitUntil(lambda: model.rowCount() == 4)
    proxy = FilesProxy(model)
    assert texts(proxy) == ["run", "a.h5"]
    proxy.show_hidden(True)
    assert texts(proxy) == [".cache", "run", ".profile", "a.h5"]


def test_that_a_wrong_regex_is_told_and_changes_nothing(qtbot: Any, model: FilesModel) -> None:
    proxy = FilesProxy(model)
    assert "regular expression" in proxy.set_filter("/(/")
    assert len(texts(proxy)) == 4
    assert compile_filter("  ") is None


@pytest.mark.parametrize(("dtype", "words"), [
    ("<u4", "uint32"), (">f8", "float64"), ("object", "text"), ("|S12", "text"), ("[('a', '<i4')]", "compound"),
    ("uint16", "uint16"), ("bool", "bool")])
def test_that_types_are_named_for_readers(dtype: str, words: str) -> None:
    assert short_type(dtype) == words


def numbered(count: int, first: int = 1) -> FolderListing:
    names = [f"scan_{number:04d}.cbf" for number in range(first, first + count)]
    names = ["a.txt", *names, "z.cbf"]
    return folder_listing({"path": "/data/raw", "names": names, "kinds": "f" * len(names),
                           "sizes": [1000] * len(names), "times": [10**9] + [0] * (len(names) - 1), "links": []})


def test_that_numbered_images_are_one_row_that_opens_into_them(qtbot: Any, model: FilesModel,
                                                              data: FakeDataService) -> None:
    data.folders["/data/raw"] = numbered(5)
    raw = opened(qtbot, model, "raw")
    assert texts(model, raw) == ["a.txt", "scan_####.cbf", "z.cbf"]
    series = model.child_named(raw, "scan_####.cbf")
    assert series.siblingAtColumn(1).data() == "1–5"
    assert series.data(Role.KIND) is RowKind.SERIES
    assert str(model.reference(series)) == "far:/data/raw/scan_####.cbf"
    asked = len(data.asked)
    opened(qtbot, model, "raw", "scan_####.cbf")
    assert texts(model, series) == [f"scan_000{number}.cbf" for number in range(1, 6)]
    assert str(model.reference(model.index(2, 0, series))) == "far:/data/raw/scan_0003.cbf"
    assert asked == len(data.asked)


def test_that_a_file_of_a_folded_series_is_found_by_its_name(qtbot: Any, model: FilesModel,
                                                             data: FakeDataService) -> None:
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning)
    data.folders["/data/raw"] = numbered(5)
    raw = opened(qtbot, model, "raw")
    index = model.child_named(raw, "scan_0004.cbf")
    assert index.data() == "scan_0004.cbf"
    assert index.parent().data() == "scan_####.cbf"
    proxy = FilesProxy(model)
    proxy.set_filter("0003")
    shown = proxy.mapFromSource(model.child_named(raw, "scan_####.cbf"))
    assert shown.isValid()
    proxy.set_filter("0009")
    assert not proxy.mapFromSource(model.child_named(raw, "scan_####.cbf")).isValid()


def test_that_refreshing_a_series_asks_for_its_folder(qtbot: Any, model: FilesModel, data: FakeDataService) -> None:
    data.folders["/data/raw"] = numbered(5)
    raw = opened(qtbot, model, "raw")
    data.folders["/data/raw"] = numbered(7)
    model.refresh(model.child_named(raw, "scan_####.cbf"))
    qtbot.waitUntil(lambda: model.is_loaded(raw) and model.child_named(raw, "scan_0007.cbf").isValid())


def test_that_images_and_text_open_into_what_is_in_them(qtbot: Any, data: FakeDataService) -> None:
    data.folders["/data"] = folder("/data", "a.cbf", "b.edf.gz", "c.spec", "d.py")
    data.groups["/data/a.cbf::/"] = (dataset("/image", (100, 200), "int32"),)
    model = FilesModel()
    model.set_root(data, "far", TOP)
    qtbot.waitUntil(lambda: model.is_loaded(QModelIndex()))
    assert [model.hasChildren(model.index(row, 0)) for row in range(4)] == [True, True, True, False]
    assert texts(model, opened(qtbot, model, "a.cbf")) == ["image"]


def test_that_what_was_made_appears_in_a_listed_folder_and_what_is_open_stays_open(
        qtbot: Any, data: FakeDataService, model: FilesModel) -> None:
    raw = opened(qtbot, model, "raw")
    opened(qtbot, model, "scan_2.h5", "1.1")
    assert texts(model, raw) == ["Empty"]
    data.folders["/data/raw"] = folder("/data/raw", "job-1/")
    before = len(data.asked)
    assert model.list_anew([PurePosixPath("/data/raw/job-1"), PurePosixPath("/data/raw/job-2")])
    assert not model.list_anew([PurePosixPath("/elsewhere/job-1")])
    qtbot.waitUntil(lambda: texts(model, raw) == ["job-1"])
    assert data.asked[before:] == [("list", PurePosixPath("/data/raw"))], "one call, and only for the folder it is in"
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.QtTest)
    job = opened(qtbot, model, "raw", "job-1")
    data.folders["/data/raw/job-1"] = folder("/data/raw/job-1", "result.h5")
    assert model.list_anew([PurePosixPath("/data/raw/job-1")])
    qtbot.waitUntil(lambda: texts(model, job) == ["result.h5"])
    data.folders["/data"] = folder("/data", "new/", "raw/", "scan_2.h5", "notes.txt", "z.h5")
    assert model.list_anew([PurePosixPath("/data/other")])
    qtbot.waitUntil(lambda: texts(model) == ["new", "raw", "scan_2.h5", "notes.txt", "z.h5"])
    entry = model.child_named(model.child_named(QModelIndex(), "scan_2.h5"), "1.1")
    assert texts(model, entry) == ["eiger", "title"], "what is below a row that is still there stays"
    assert tester is not None


def test_that_a_folder_that_cannot_be_listed_anew_keeps_what_was_known(qtbot: Any, data: FakeDataService,
                                                                       model: FilesModel) -> None:
    data.folders["/data"] = PermissionError_("You may not read /data.")
    with qtbot.waitSignal(model.level_failed):
        model.list_anew([TOP])
    assert texts(model) == ["raw", "scan_2.h5", "scan_10.h5", "notes.txt"]


def test_that_a_jobs_folder_shows_its_results_before_the_files_it_worked_with(qtbot: Any, data: FakeDataService,
                                                                              model: FilesModel) -> None:
    data.folders["/data/raw"] = folder("/data/raw", "20261122-231706-4d6411/", "other/")
    path = "/data/raw/20261122-231706-4d6411"
    data.folders[path] = folder(path, "__pycache__/", "slices/", "job.json", "job.sh", "job.2.log", "notes.txt",
                                "parameters.json", "run.py", "status-2.json", "volume.h5")
    model.set_titles({PurePosixPath(path): "Tomography of stones.h5"})
    job = opened(qtbot, model, "raw", "20261122-231706-4d6411")
    assert texts(model, job.parent()) == ["Tomography of stones.h5 · 20261122-231706-4d6411", "other"]
    assert job.data(Qt.ItemDataRole.ToolTipRole) == f"Tomography of stones.h5\n{path}"
    assert texts(model, job) == ["slices", "notes.txt", "volume.h5", "Files of the job"]
    group_row = model.index(3, 0, job)
    assert not model.rowCount(group_row)
    model.fetchMore(group_row)
    qtbot.waitUntil(lambda: model.is_loaded(group_row))
    assert texts(model, group_row) == ["__pycache__", "job.json", "job.sh", "job.2.log", "parameters.json", "run.py",
                                       "status-2.json"]
    assert str(model.reference(model.index(5, 0, group_row))) == f"far:{path}/run.py"
    data.folders[path] = folder(path, "job.json", "parameters.json", "run.py", "volume.h5", "usage.json")
    model.list_anew([PurePosixPath(path)])
    qtbot.waitUntil(lambda: texts(model, job) == ["volume.h5", "Files of the job"])
    assert texts(model, model.index(1, 0, job)) == ["job.json", "parameters.json", "run.py", "usage.json"]
    data.folders["/data/raw/other"] = folder("/data/raw/other", "run.py", "job.json")
    other = opened(qtbot, model, "raw", "other")
    assert texts(model, other) == ["run.py", "job.json"], "no job of ours: nothing is put away"


def test_that_thousands_of_new_files_come_at_once(qtbot: Any, data: FakeDataService, model: FilesModel) -> None:
    inserted: list[int] = []
    model.rowsInserted.connect(lambda _parent, first, last: inserted.append(last - first + 1))
    data.folders["/data"] = folder("/data", "raw/", *(f"f{n:05}.h5" for n in range(5000)), "notes.txt")
    model.list_anew([TOP])
    qtbot.waitUntil(lambda: model.rowCount() == 5002)
    assert inserted == [5000]
    names = [f"{letter}{n:05}.h5" for n in range(5000) for letter in "fg"]
    data.folders["/data"] = folder("/data", "raw/", *names, "notes.txt")         # one new beside each that was there
    inserted.clear()
    model.list_anew([TOP])
    qtbot.waitUntil(lambda: model.rowCount() == 10002)
    assert inserted == [10002], "too many changes to show one after the other"
    assert [texts(model)[n] for n in (0, 1, 2, 10000, 10001)] == ["raw", "f00000.h5", "g00000.h5", "g04999.h5",
                                                                  "notes.txt"]
