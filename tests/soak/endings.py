"""The runs of the soak, one kind of ending each: `ENDINGS`, functions of a Drive and a number of frames."""

import os
import signal
from pathlib import Path

from tests.device import media
from tests.device.running import played, start, wait_for_lines
from tests.soak.camera import KINDS, SIZE
from tests.soak.written import Written


def _sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def hours(drive, frames):
    """Run long on a camera that fails in every way that it can come back from."""
    drive.run(["--max-frames", frames], frames, drive.new_camera(frames))
    drive.check(0, "max_frames")
    drive.need("kinds of faults that happened", set(drive.camera.happened), set(KINDS))


def with_video(drive, frames):
    """Run the same camera, and save an annotated video."""
    drive.run(["--max-frames", frames, "--save", drive.video], frames, drive.new_camera(frames))
    drive.check(0, "max_frames", video=True)


def sigterm_in_a_sink(drive, frames):
    drive.run(["--save", drive.video], frames, drive.new_camera(frames), at={frames // 2: _sigterm})
    drive.check(143, "SIGTERM", video=True)
    drive.need("frames until the signal", drive.written.frames, frames // 2)


def sigterm_while_waiting(drive, frames):
    camera = drive.new_camera(frames, "signal", frames - 5, _sigterm)
    drive.run(["--save", drive.video], frames, camera)
    drive.check(143, "SIGTERM", video=True)
    drive.need("last frame before the signal", drive.written.only.last, frames - 6)


def gone_for_good(drive, frames):
    drive.run(["--save", drive.video], frames, drive.new_camera(frames, "gone", frames - 5))
    drive.check(1, "error: soak: interrupted after {} frames".format(frames - 5), video=True)


def back_in_another_size(drive, frames):
    drive.run(["--save", drive.video], frames, drive.new_camera(frames, "resized", frames - 5))
    drive.check(1, "error: soak: frame {} is {}x{}".format(frames - 5, SIZE[0], SIZE[1] // 2), video=True)


def disk_full_of_results(drive, frames):
    """Fill the disk about half-way: a line takes some 200 to 300 bytes."""
    drive.run([], frames, drive.new_camera(frames), file_limit=100 * frames)
    drive.check(2, None)
    drive.need("error", drive.jsonl in drive.err and "File too large" in drive.err, True)
    drive.need("what it prints", "error: {}: File too large".format(drive.jsonl) in drive.out, True)
    drive.need("some frames were written", 0 < drive.written.frames < frames, True)


def disk_full_of_video(drive, frames):
    """Fill the disk with video. ffmpeg says so at once; OpenCV does not, and the sink finds out last."""
    arguments = ["--save", drive.video, "--max-frames", frames]
    drive.run(arguments, frames, drive.new_camera(frames), file_limit=500 * frames)
    drive.check(2, ("max_frames", "error: {}".format(drive.video)))
    drive.need("error", drive.video in drive.err and "disk" in drive.err or "File too large" in drive.err, True)
    drive.need("what is left plays", not os.path.exists(drive.video) or played(drive.video)[0] > 0, True)


def damaged_file(drive, frames):
    """Read a real file that is cut off: what came before is whole, and the run says so."""
    whole, cut = Path(drive.folder, "whole.mp4"), Path(drive.folder, "cut.mp4")
    media.moov_first(media.write_video(whole, frames, SIZE, fourcc="mp4v"), cut)
    with cut.open("rb+") as file:
        file.truncate(int(0.7 * cut.stat().st_size))
    drive.run(["--source", cut, "--save", drive.video], frames)
    drive.check(2, "error: {}: ".format(cut), video=True)
    drive.need("frames before the damage are there", 0.3 * frames < drive.written.frames < 0.9 * frames, True)
    whole.unlink()
    cut.unlink()


def killed(drive, frames):
    """Kill a process of its own, as when the supply fails: whole lines, and no summary."""
    source, out = Path(drive.folder, "loop.avi"), Path(drive.jsonl)
    media.write_video(source, 40, SIZE)
    process = start("run", "--engine", drive.model, "--threads", 1, "--source", source, "--loop", "--jsonl", out)
    try:
        wait_for_lines(out, frames, process)
    finally:
        process.kill()
        process.communicate()
    written = Written(out)
    drive.faults += written.faults
    drive.need("summary", written.summary, None)
    drive.need("exit code", process.returncode, -signal.SIGKILL)
    drive.figures = {"frames": written.frames, "exit_code": process.returncode}
    source.unlink()


ENDINGS = (
    with_video,
    sigterm_in_a_sink,
    sigterm_while_waiting,
    gone_for_good,
    back_in_another_size,
    disk_full_of_results,
    disk_full_of_video,
    damaged_file,
    killed,
)
