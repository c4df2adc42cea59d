"""One watched run of the soak, and what must hold after every one."""

import contextlib
import io
import os
import resource
import time
from unittest import mock

from tests.device.running import played
from tests.soak.camera import FPS, INTERRUPTIONS, SIZE, Camera, pictures, plan
from tests.soak.watch import Watch, left_over
from tests.soak.written import Written
from tsm_edge import cli
from tsm_edge.machine.sampler import resident_now

GROWTH = 4e6  # bytes that a run may gain after its first tenth: allocators wobble, a frame kept each time does not


class Drive:
    """One run, its figures (`figures`, for the table and the JSON) and what was found wrong (`faults`, in words)."""

    def __init__(self, name, model, folder, seed):
        self.name, self.model, self.folder, self.seed = name, model, str(folder), seed
        self.faults, self.figures = [], {}
        self.jsonl, self.video = os.path.join(self.folder, "o.jsonl"), os.path.join(self.folder, "o.mp4")

    def need(self, what, got, expected):
        if got != expected:
            self.faults.append("{}: got {!r}, expected {!r}".format(what, got, expected))

    def run(self, arguments, frames, camera=None, at=None, file_limit=None):
        """`tsm-edge run` in this process, watched; `self.code`, `self.out` and `self.err` afterwards.

        file_limit: bytes that a file may grow to: what is written beyond fails, as on a full disk.
        """
        for path in (self.jsonl, self.video):
            if os.path.exists(path):
                os.remove(path)
        self.camera, self.watch = camera, Watch(camera, frames, at)
        argv = ["run", "--engine", self.model, "--threads", "1", "--jsonl", self.jsonl] + [str(a) for a in arguments]
        before, out, err, began = left_over(), io.StringIO(), io.StringIO(), time.perf_counter()
        with contextlib.ExitStack() as stack:
            patch = lambda name, by: stack.enter_context(mock.patch("tsm_edge.commands.run." + name, by))  # noqa: E731
            patch("Capture", self.watch.capture)
            patch("ProgressSink", self.watch.sink)
            if camera is not None:
                argv += ["--camera", "0"]
                patch("open_source", lambda spec, loop, decode_threads: camera.stream())
                stack.enter_context(mock.patch("time.time", camera.wall))
            if file_limit is not None:
                stack.enter_context(_file_limit(file_limit))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            self.code = cli.main(argv)
        self.seconds = time.perf_counter() - began
        self.out, self.err = out.getvalue(), err.getvalue()
        self.need("threads and open files", left_over(), before)

    def check(self, code, stopped, video=False):
        """What must hold after every run. stopped: the summary's word, its beginning for an error, None for none."""
        written = self.written = Written(self.jsonl, self.camera)
        self.faults += written.faults
        self.need("exit code", self.code, code)
        self.need("traceback", "Traceback" in self.err, False)
        self.need("bounded queues", self.watch.bounded, True)
        self.need("pictures overwritten", self.watch.overwritten, 0)
        growth = self.watch.growth
        self.need("memory flat (it grew by {} bytes)".format(growth), growth is None or growth < GROWTH, True)
        summary = written.summary
        if stopped is None:
            self.need("summary", summary, None)
        elif summary is None:
            self.faults.append("no summary")
        else:
            self._check_summary(summary, stopped)
        if video:
            self.need("frames of the video", played(self.video), (written.frames,) + SIZE)
        self._figures(growth)

    def _check_summary(self, summary, stopped):
        written = self.written
        self.need("stopped", summary["stopped"][: len(stopped)], stopped)
        self.need("frames counted", summary["frames"], written.frames)
        self.need("events counted", summary["events"], written.events)
        self.need("frames in every stage", {s["count"] for s in summary["stages"].values()}, {written.frames})
        self.need("the printed summary", self.out.startswith("frames     {} in".format(written.frames)), True)
        if self.camera is not None:
            self.need("dropped frames counted", summary["dropped"], self.camera.run_ahead)
            holes = written.last + 1 - written.frames - summary["dropped"]
            self.need("corrupt frames, by the frames' numbers", holes, written.corrupt)
            most = self.camera.shown.count(self.camera.CORRUPT)  # the run may end between a corrupt frame and the next
            self.need("corrupt frames counted", written.corrupt <= summary["corrupt"] <= most, True)
            self.need("resets counted", summary["resets"], written.resets)
            happened = sum(self.camera.happened.get(kind, 0) for kind in INTERRUPTIONS)
            self.need("interruptions", len(self.camera.begins), happened + ("resized" in self.camera.happened))

    def _figures(self, growth):
        summary, camera = self.written.summary or {}, self.camera
        self.figures = {
            "frames": self.written.frames,
            # Without what a clock jumped, and up to the last frame written: one more may have been grabbed, or not.
            "hours": (self.written.last + 1 if camera else self.written.frames) / FPS / 3600,
            "seconds": self.seconds,
            "injected": dict(camera.happened) if camera else {},
            "dropped": summary.get("dropped"),
            "corrupt": self.written.corrupt if camera else None,
            "resets": summary.get("resets"),
            "exit_code": self.code,
            "stopped": summary.get("stopped"),
            "waiting_most": self.watch.waiting,
            "images_most": self.watch.images,
            "growth_bytes": growth,
            "resident_bytes": resident_now(),
        }

    def new_camera(self, frames, *ending):
        return Camera(plan(self.seed, frames), pictures(self.seed), *ending)


@contextlib.contextmanager
def _file_limit(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
