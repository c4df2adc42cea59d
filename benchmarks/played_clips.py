"""Clips in a video that is played as a camera: what a person would do in front of `tsm-edge record`."""

from pathlib import Path

import cv2
import numpy as np

COUNTDOWN, SECONDS = 3.0, 2.0  # of `tsm-edge record`, its defaults


def frames_of(folder):
    """Return the pictures of a folder, (H, W, 3) uint8 BGR each, in order."""
    return [cv2.imread(str(path)) for path in sorted(Path(folder).glob("*.jpg"))]


def resampled(frames, count):
    """Return `count` frames over the whole of a clip, each the nearest in time."""
    places = np.minimum((np.arange(count) + 0.5) * len(frames) / count, len(frames) - 1).astype(int)
    return [frames[place] for place in places]


def write_camera_video(path, clips, fps=15.0, countdown=COUNTDOWN, seconds=SECONDS):
    """Write a video in which each clip (a list of pictures) follows a countdown that holds its first picture.

    `tsm-edge record` with this countdown and length of a clip records the clips in their order.
    """
    height, width = clips[0][0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    if not writer.isOpened():
        raise OSError(f"{path}: no video can be written there")
    for clip in clips:
        moving = resampled(clip, round(seconds * fps))
        pause = round(countdown * fps) + 2  # the countdown ends on a frame, and the clip begins with the one after it
        for frame in [moving[0]] * pause + moving:
            writer.write(cv2.resize(frame, (width, height)))
    for _ in range(round(fps)):  # the camera goes on after the last clip
        writer.write(cv2.resize(clips[-1][-1], (width, height)))
    writer.release()


def write_stream(path, clips, fps=15.0, pause=2.0, seconds=SECONDS):
    """Write a video of clips with pauses of held pictures. Returns [(start, end)] of the clips in seconds."""
    height, width = clips[0][0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    half, written, times = round(pause * fps / 2), 0, []
    for clip in clips:
        moving = resampled(clip, round(seconds * fps))
        times.append(((written + half) / fps, (written + half + len(moving)) / fps))
        frames = [moving[0]] * half + moving + [moving[-1]] * half
        for frame in frames:
            writer.write(cv2.resize(frame, (width, height)))
        written += len(frames)
    writer.release()
    return times
