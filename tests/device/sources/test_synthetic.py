"""Noise in place of a video: its size, its rate, its end, and a session on it."""

import numpy as np
import pytest

from tests.device.toys import SIZE, PixelEngine, toy_manifest
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sources.request import StreamRequest
from tsm_edge.sources.synthetic import DEFAULT_FPS, SyntheticSource


def test_frames_are_of_the_models_size():
    source = SyntheticSource(toy_manifest())
    frames = [source.read() for _ in range(20)]
    assert [frame.index for frame in frames] == list(range(20))
    assert {frame.image.shape for frame in frames} == {(SIZE, SIZE, 3)} and source.frame_size == (SIZE, SIZE)
    assert not np.array_equal(frames[0].image, frames[1].image)
    assert "synthetic" in source.name
    source.close()
    assert next(source, None) is None


def test_frames_of_a_letterbox_fill_the_input():
    manifest = toy_manifest()
    frame = manifest.frame._replace(height=6, width=10, crop="letterbox")
    source = SyntheticSource(manifest._replace(frame=frame))
    assert source.read().image.shape == (6, 10, 3) and source.frame_size == (10, 6)


@pytest.mark.parametrize("fps, expected", [(None, DEFAULT_FPS), (12.5, 12.5)])
def test_time_stamps_follow_the_rate_of_the_model(fps, expected):
    source = SyntheticSource(toy_manifest(fps=fps))
    assert source.fps == expected
    assert [source.read().time for _ in range(3)] == pytest.approx([0, 1 / expected, 2 / expected])


def test_a_session_gets_every_frame_unchanged():
    """The capture hands images back to be written to; this source never writes to one."""
    manifest = toy_manifest()
    pictures = [image.copy() for image in SyntheticSource(manifest)._images]
    stream = StreamRequest(SyntheticSource(manifest), name="synthetic")
    with open_session(SessionRequest(PixelEngine(manifest), (stream,), max_frames=30)) as session:
        for index, result in enumerate(session):
            assert result.frame.stream == "synthetic" and result.frame.index == index
            assert np.array_equal(result.frame.image, pictures[index % len(pictures)])
    assert session.finish()[-1]["frames"] == 30
