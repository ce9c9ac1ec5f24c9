"""The composition root: builds everything, shows the window, and ends it all in order.

Order of the end: timers, watchers and questions; then, when the GUI's event loop is over and with a deadline, what is
to be ended at sites (trials), connections, the demo facility and the io threads. What nobody caught is told once,
logged, and kept for a report.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import faulthandler
import functools
import importlib.metadata
import logging
import logging.handlers
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Protocol

from PySide6.QtCore import QObject, QSocketNotifier, Qt, QTimer, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from app import paths, settings
from app.errors import UsageError
from app.model.site import SiteProfile
from app.remote import proxies, trust
from app.remote.block_store import BlockStore
from app.remote.demo import DemoFacility
from app.remote.sites import Sites
from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool
from app.session.jobs_model import JobsModel
from app.session.places import Places
from app.session.session import Session
from app.session.site_list import SiteList
from app.session.site_probing import SiteProbing
from app.session.site_software import SiteSoftware
from app.session.streaming import MEGABYTE, Streaming
from app.session.viewed import Viewed
from app.views.main_window import MainWindow
from app.views.messages import Messages
from app.viz.icons import app_icon
from app.viz.theme import apply_theme

log = logging.getLogger(__name__)

CLOSE_WITHIN_S = 6.0
OWED_WITHIN_S = 3.0                # for what is to be ended at sites, before connections are closed
KEEP_EVERY_MS = 60_000
LOG_BYTES, LOG_FILES = 2_000_000, 3


class Wanted(Protocol):
    """What the command line asked for."""

    @property
    def target(self) -> str: ...
    @property
    def demo(self) -> bool: ...


def run_window(wanted: Wanted, sites: Sites | None = None) -> int:
    """Open the window and stay until it is closed; the program's exit code."""
    crash_file = _start_logging()
    app = _qt_application()
    program = Program(app, sites or Sites())
    with program.watching_signals():
        program.start(wanted.target, wanted.demo)
        code = app.exec()
    program.shut_down()
    if crash_file is not None:
        faulthandler.disable()
        crash_file.close()
    return code


class Program(QObject):
    """Owns every object of the running program.

    Signals:
        _uncaught(exception): from any thread; told once on the GUI thread.
    """

    _uncaught = Signal(object)
    _demo_said = Signal(str)

    def __init__(self, app: QApplication, sites: Sites, demo: DemoFacility | None = None) -> None:
        super().__init__()
        self._app = app
        self._sites = sites
        self._told: set[str] = set()
        self._demo = demo or DemoFacility()
        self._demo_starting: FutureWatcher | None = None
        self._demo_cancelled = threading.Event()
        self._hooks = (sys.excepthook, threading.excepthook)
        stored = settings.load()
        try:
            proxies.choose(stored.proxy)
        except UsageError as error:
            log.warning("the proxy in the settings is not used: %s", error.summary)
        trust.choose_stored(stored.ca_file)
        apply_theme(app, stored.theme)
        self.pool = IoPool()
        self._store = BlockStore(paths.cache_dir() / "data", stored.cache_mb * MEGABYTE)
        self.streaming = Streaming(stored.quality, stored.prefetch_mb_per_hour, self._store, stored.cache_mb, self)
        self.session = Session(sites, self.pool, self, store=self._store)
        self.sites = SiteList(sites.catalogue, self.pool, self)
        self.probing = SiteProbing(self.session, sites, self.pool, self)
        self.places = Places(stored.recent, self)
        self.viewed = Viewed(self)
        self.messages = Messages(self)
        self.jobs = JobsModel(self.session, self)
        self.software = SiteSoftware(self.session, sites, self.pool, self)
        self.window = MainWindow(self.session, self.sites, self.probing, self.places, self.jobs, self.software,
                                 self.viewed, self.streaming, self.messages, stored, version())
        self._keeper = QTimer(self)
        self._keeper.setSingleShot(True)
        self._keeper.setInterval(KEEP_EVERY_MS)
        self._keeper.timeout.connect(self._keep_signed_in)
        self._keeper.start()
        self.window.theme_chosen.connect(self._apply_theme)
        self.window.settings_changed.connect(self._save)
        self.window.demo_requested.connect(self.start_demo)
        self._uncaught.connect(self._tell_uncaught, Qt.ConnectionType.QueuedConnection)
        self._demo_said.connect(self._show_demo_progress, Qt.ConnectionType.QueuedConnection)
        hints = QGuiApplication.styleHints()
        hints.colorSchemeChanged.connect(self._desktop_changed)
        sys.excepthook = self._excepthook
        threading.excepthook = self._threading_hook
        for fault in sites.faults:
            self.messages.tell(fault)

    # -- beginning --------------------------------------------------------------------------------------------------

    def start(self, target: str = "", demo: bool = False) -> None:
        """Show the window, connect this computer, and go where the command line said."""
        self.window.show()
        if target:
            self.window.navigator.go_to_text(target)
        else:
            self.session.open_site("local")
        if demo:
            self.start_demo()

    def start_demo(self) -> None:
        """Start the demo facility and browse it; asked again while it runs, just browse it."""
        if self._demo_starting is not None:
            return
        running = [name for name in self._sites.names() if self._demo.running and name == "demo"]
        if running:
            self.window.navigator.go_to_site(running[0])
            return
        self.window.start_page.show_demo_progress("Starting the demo facility…")
        self._demo_cancelled.clear()
        future = self.pool.submit(self._begin_demo)
        self._demo_starting = FutureWatcher(future, self, self._demo_started, self._demo_failed)

    def _begin_demo(self) -> tuple[SiteProfile, str]:
        """Io thread: the facility's profile and the PIN of its sign-in pages."""
        profile = self._demo.start(self._demo_said.emit, self._demo_cancelled)
        pin_file = self._demo.addresses.get("pin_file", "")
        return profile, Path(pin_file).read_text("utf-8").strip() if pin_file else ""

    def _demo_started(self, started: tuple[SiteProfile, str]) -> None:
        profile, pin = started
        self._demo_starting = None
        self.sites.give(profile)
        if pin:
            self.window.asking.set_hint(profile.name, f"The page asks for the demo PIN: {pin}\n"
                                        "Your browser does not know the demo’s certificate: go on past its warning.")
        self.window.start_page.show_demo_progress("")
        self.window.top_bar.show_site(profile.name)
        self.session.try_now(profile.name)                 # it was started again, and its link need not wait
        self.window.navigator.go_to_site(profile.name)

    def _demo_failed(self, error: BaseException) -> None:
        self._demo_starting = None
        self.window.start_page.show_demo_progress("")
        self.messages.tell(error)

    def _show_demo_progress(self, text: str) -> None:
        if self._demo_starting is not None:
            self.window.start_page.show_demo_progress(text)

    # -- while it runs ----------------------------------------------------------------------------------------------

    def _apply_theme(self, name: str) -> None:
        apply_theme(self._app, name)

    def _desktop_changed(self, *_scheme: object) -> None:
        if self.window.settings.theme == "automatic":
            apply_theme(self._app, "automatic")

    def _save(self, values: settings.Settings) -> None:
        FutureWatcher(self.pool.submit(settings.save, values), self, _nothing, self.messages.tell)

    def _keep_signed_in(self) -> None:
        """Sign-ins that end by themselves are renewed before; the next look is a while after this one is over."""
        FutureWatcher(self.pool.submit(self._sites.keep_signed_in), self, self._look_again, self.messages.tell)

    def _look_again(self, _nothing_came: object) -> None:
        self._keeper.start()

    # -- what nobody caught -----------------------------------------------------------------------------------------

    def _excepthook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._app.quit()
            return
        log.critical("uncaught in the GUI thread", exc_info=(kind, error, trace))
        self._uncaught.emit(error)

    def _threading_hook(self, arguments: Any) -> None:
        if arguments.exc_type is SystemExit:
            return
        log.critical("uncaught in %s", arguments.thread.name if arguments.thread else "a thread",
                     exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback))
        self._uncaught.emit(arguments.exc_value)

    def _tell_uncaught(self, error: BaseException) -> None:
        """Once for each kind of accident, however often it repeats."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        where = f"{type(error).__name__} {place}"
        if where not in self._told:
            self._told.add(where)
            self.messages.tell(error)

    # -- the end ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watching_signals(self) -> Any:
        """SIGINT and SIGTERM close the window as its cross does."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read, self)
        notifier.activated.connect(self._quit_on_signal)
        before = {number: signal.signal(number, _note_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            notifier.setEnabled(False)
            reader.close()
            writer.close()

    def _quit_on_signal(self, *_what: object) -> None:
        self.window.leave()
        self._app.quit()

    def shut_down(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """End everything; the event loop is over, so waiting with a deadline is allowed here."""
        deadline = time.monotonic() + within_s
        self._demo_cancelled.set()
        self._keeper.stop()
        self.jobs.polling.stop()
        self.window.job_notices.close()
        self.window.hide()
        concurrent.futures.wait(self.session.owed, min(OWED_WITHIN_S, within_s / 2))
        connections = self.session.close()
        closers = [threading.Thread(target=functools.partial(connection.close, 3.0), name="closing", daemon=True)
                   for connection in connections]
        closers += [threading.Thread(target=stop, name="closing", daemon=True)
                    for stop in (self._demo.stop, self._store.close, self.window.job_notices.wait_closed)]
        for closer in closers:
            closer.start()
        self.pool.shut_down(max(0.1, deadline - time.monotonic()))
        for closer in closers:
            closer.join(max(0.1, deadline - time.monotonic()))
        try:
            settings.save(self.window.settings)          # the last word, whatever the pool had no time for
        except OSError as error:
            log.warning("settings not saved: %s", error)
        sys.excepthook, threading.excepthook = self._hooks
        self.window.deleteLater()
        logging.getLogger().info("ended")


def version() -> str:
    """The installed distribution's, or that of a checkout."""
    try:
        return importlib.metadata.version("beamside")
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def _qt_application() -> QApplication:
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("Beamside")
    app.setApplicationDisplayName("Beamside")
    app.setDesktopFileName("beamside")
    app.setWindowIcon(app_icon())
    return app


def _start_logging() -> IO[str] | None:
    """A rotating log in the state folder, and where the interpreter writes when it crashes."""
    folder = paths.state_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(folder / "beamside.log", maxBytes=LOG_BYTES,
                                                       backupCount=LOG_FILES, encoding="utf-8")
        crash_file = (folder / "crash.log").open("a", encoding="utf-8")
    except OSError:
        logging.basicConfig(level=logging.WARNING)
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("paramiko").setLevel(logging.WARNING)
    faulthandler.enable(crash_file)
    qInstallMessageHandler(_qt_message)
    return crash_file


def _qt_message(kind: QtMsgType, _context: Any, text: str) -> None:
    level = {QtMsgType.QtDebugMsg: logging.DEBUG, QtMsgType.QtInfoMsg: logging.INFO,
             QtMsgType.QtWarningMsg: logging.WARNING}.get(kind, logging.ERROR)
    logging.getLogger("qt").log(level, "%s", text)


def _note_signal(number: int, _frame: FrameType | None) -> None:
    log.info("signal %s", number)


def _nothing(_result: object) -> None:
    """The settings are written."""
