"""One watched run of the soak, and what must hold after every one."""

import contextlib
import io
import os
import resource
import time
from unittest import mock

from tests.device.running import LIVE_STAGES, STAGES, played
from tests.soak.camera import FPS, INTERRUPTIONS, SIZE, Camera, pictures, plan
from tests.soak.watch import Watch, left_over
from tests.soak.written import Written
from tsm_edge import cli
from tsm_edge.machine.sampler import resident_now

MAX_GROWTH = 4e6  # bytes after the first tenth of a run: allocators wobble, but a frame that is kept each time shows


class Drive:
    """One run, its figures (`figures`, for the table and the JSON) and what was found wrong (`faults`, in words).

    Args:
        name: of the run, for the table.
        model: an ONNX file.
        folder: for the files of the run.
        seed: of the faults.
        threads: of the engine.
    """

    def __init__(self, name, model, folder, seed, threads=1):
        self.name, self.model, self.folder, self.seed, self.threads = name, model, str(folder), seed, threads
        self.faults, self.figures = [], {}
        self.jsonl, self.video = os.path.join(self.folder, "o.jsonl"), os.path.join(self.folder, "o.mp4")

    def need(self, what, got, expected):
        if got != expected:
            self.faults.append("{}: got {!r}, expected {!r}".format(what, got, expected))

    def run(self, arguments, frames, camera=None, at=None, take=lambda result: None, file_limit=None):
        """Run `tsm-edge run` in this process, watched; `self.code`, `self.out` and `self.err` afterwards.

        Args:
            arguments: of the command, without engine and JSONL.
            frames: that the run is meant to give.
            camera: a :class:`tests.soak.camera.Camera` to run, None for the sources in `arguments`.
            at: see :class:`tests.soak.watch.Watch`.
            take: likewise, where there is no camera.
            file_limit: bytes that a file may grow to; what is written beyond fails, as on a full disk.
        """
        for path in (self.jsonl, self.video):
            if os.path.exists(path):
                os.remove(path)
        self.camera, self.watch = camera, Watch(frames, take if camera is None else camera.take, at)
        argv = ["run", "--engine", self.model, "--threads", str(self.threads), "--jsonl", self.jsonl]
        argv += [str(argument) for argument in arguments]
        before, out, err, began = left_over(), io.StringIO(), io.StringIO(), time.perf_counter()
        with contextlib.ExitStack() as stack:
            patch = lambda name, by: stack.enter_context(mock.patch("tsm_edge." + name, by))  # noqa: E731
            patch("session.Capture", self.watch.capture)
            patch("sinks.console.ProgressSink", self.watch.sink)
            if camera is not None:
                argv += ["--camera", "0"]
                patch("sources.request.open_source", lambda *arguments: camera.stream())
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
        """Check what must hold after every run.

        Args:
            code: the exit code.
            stopped: the summary's word for the end, its beginning for an error, several where each is right, None where
                there is no summary.
            video: whether the run saved one.
        """
        written = self.written = Written(self.jsonl, {"camera0": self.camera})
        self.faults += written.faults
        self.need("exit code", self.code, code)
        self.need("traceback", "Traceback" in self.err, False)
        self.need("bounded queues", self.watch.bounded, True)
        growth = self.watch.growth
        self.need("memory flat (it grew by {} bytes)".format(growth), growth is None or growth < MAX_GROWTH, True)
        if self.camera is not None:
            self.need("pictures overwritten", self.camera.overwritten, 0)
        if stopped is None:
            self.need("summary", written.summary, None)
        elif written.summary is None:
            self.faults.append("no summary")
        else:
            self._check_summary(written.summary, stopped)
        if video:
            self.need("frames of the video", played(self.video), (written.frames,) + SIZE)
        self._figures(growth)

    def _check_summary(self, summary, stopped):
        written = self.written
        if not summary["stopped"].startswith(stopped):
            self.need("stopped", summary["stopped"], stopped)
        self.need("the printed summary", self.out.startswith("frames     {} in".format(written.frames)), True)
        for name, stream in written.streams.items():
            stages, live = stream.summary["stages"], self.watch.captures[name].source.live
            self.need("stages of {}".format(name), set(stages), LIVE_STAGES if live else STAGES)
            timed = stream.frames - int(
                summary["stopped"].startswith("error: {}".format(self.video))
            )  # the sink failed
            self.need("frames in its stages", {stage["count"] for stage in stages.values()}, {timed})
        if self.camera is not None:
            stream = written.only
            self.need("dropped frames counted", summary["dropped"], self.camera.run_ahead)
            holes = stream.last + 1 - stream.frames - summary["dropped"]
            self.need("corrupt frames, by the frames' numbers", holes, stream.corrupt)
            most = self.camera.shown.count(self.camera.CORRUPT)  # the run may end between a corrupt frame and the next
            self.need("corrupt frames counted", stream.corrupt <= summary["corrupt"] <= most, True)
            self.need("resets counted", summary["resets"], stream.resets)
            happened = sum(self.camera.happened.get(kind, 0) for kind in INTERRUPTIONS)
            self.need("interruptions", len(self.camera.begins), happened + ("resized" in self.camera.happened))

    def _figures(self, growth):
        summary, camera, written = self.written.summary or {}, self.camera, self.written
        # Without what a clock jumped, and up to the last frame written: one more may have been grabbed, or not.
        frames = written.only.last + 1 if camera else written.frames
        self.figures = {
            "frames": written.frames,
            "hours": frames / FPS / 3600,
            "seconds": self.seconds,
            "injected": dict(camera.happened) if camera else {},
            "dropped": summary.get("dropped"),
            "corrupt": written.only.corrupt if camera else None,
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
