"""What every engine must do, whatever its back end. A back end's test file derives from EngineContract and opens it."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.device.streams import noise, steps
from tests.tolerances import allowed
from tsm_edge.errors import InputError

COUNT = 5  # frames, where not the length matters but that there are several


class EngineContract:
    """Derive as `class TestX(EngineContract)`, define `open`, and name the models if they are others.

    Models and the logits that torch gives for them: tests/device_models.py. tolerance: which row of the table applies.
    """

    online_model, offline_model = "tiny_custom", "tiny_offline"
    tolerance = "float32"

    def open(self, path):
        """Return the back end's Engine of the ONNX model at `path`."""
        raise NotImplementedError

    @pytest.fixture
    def engine(self, models):
        with self.open(os.path.join(models, self.online_model + ".onnx")) as engine:
            yield engine

    @pytest.fixture
    def offline(self, models):
        with self.open(os.path.join(models, self.offline_model + ".onnx")) as engine:
            yield engine

    def close_to(self, got, expected):
        return np.abs(got - expected).max() <= allowed(expected, self.tolerance)

    # ------------------------------------------------------------ right

    def test_steps_equal_the_clip_that_torch_computes(self, engine, models):
        expected = np.load(os.path.join(models, self.online_model + ".npy")).swapaxes(0, 1)  # (T, streams, classes)
        count = 2 * engine.manifest.shift.n_segment + 1
        assert len(expected) == count
        got = steps(engine, engine.new_state(2), noise(engine.manifest.frame, count, 2))
        assert got.dtype == np.float32
        assert got.shape == expected.shape
        assert self.close_to(got, expected)

    def test_a_batch_of_streams_is_each_stream_alone(self, engine):
        frames = noise(engine.manifest.frame, COUNT, 3)
        together = steps(engine, engine.new_state(3), frames)
        for stream in range(3):
            alone = steps(engine, engine.new_state(), np.ascontiguousarray(frames[:, stream : stream + 1]))
            assert self.close_to(together[:, stream : stream + 1], alone)

    def test_the_past_matters(self, engine):
        frames = noise(engine.manifest.frame, COUNT)
        got = steps(engine, engine.new_state(), frames)
        fresh = np.stack([engine.step(frame, engine.new_state()) for frame in frames])
        assert np.array_equal(got[0], fresh[0])
        assert not any(self.close_to(a, b) for a, b in zip(got[1:], fresh[1:]))

    def test_interleaved_states_never_touch(self, engine):
        first, second = noise(engine.manifest.frame, 2 * COUNT).reshape((2, COUNT, 1) + engine._frame_shape)
        alone = [steps(engine, engine.new_state(), frames) for frames in (first, second)]
        states = engine.new_state(), engine.new_state()
        got = [[], []]
        for t in range(COUNT):
            for stream, frames in enumerate((first, second)):
                got[stream].append(engine.step(frames[t], states[stream]))
        assert np.array_equal(np.stack(got[0]), alone[0])
        assert np.array_equal(np.stack(got[1]), alone[1])

    # ------------------------------------------------------------ memory of a stream

    def test_a_new_state_is_zero_and_shaped_as_the_manifest_says(self, engine):
        caches = engine.new_state(2).snapshot()
        assert len(caches) == len(engine.manifest.caches) > 0
        for cache, spec in zip(caches, engine.manifest.caches):
            assert (cache.shape, cache.dtype) == ((2,) + spec.shape, np.dtype(spec.dtype))
            assert not cache.any()

    def test_reset_begins_anew(self, engine):
        frames = noise(engine.manifest.frame, COUNT)
        state = engine.new_state()
        before = steps(engine, state, frames)
        assert state.frames == COUNT
        state.reset()
        assert state.frames == 0
        assert not any(cache.any() for cache in state.snapshot())
        assert np.array_equal(steps(engine, state, frames), before)

    @pytest.mark.parametrize("stream", [0, 1, 2])
    def test_reset_of_one_stream_leaves_the_others(self, engine, stream):
        state = engine.new_state(3)
        steps(engine, state, noise(engine.manifest.frame, COUNT, 3))
        before = state.snapshot()
        state.reset(stream=stream)
        for old, new in zip(before, state.snapshot()):
            assert not new[stream].any()
            assert old[stream].any()
            others = [s for s in range(3) if s != stream]
            assert np.array_equal(new[others], old[others])

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.sampled_from(["step", "step", "reset", "reset 0", "reset 1", "keep", "back"]), min_size=3, max_size=9
        )
    )
    def test_a_batch_lives_like_its_streams(self, engine, actions):
        frames = noise(engine.manifest.frame, len(actions), 2)
        both, alone = engine.new_state(2), [engine.new_state(), engine.new_state()]
        kept = both.snapshot(), [state.snapshot() for state in alone]
        for action, frame in zip(actions, frames):
            if action == "step":
                expected = np.concatenate([engine.step(frame[s : s + 1], alone[s]) for s in range(2)])
                assert self.close_to(engine.step(frame, both), expected)
            elif action == "reset":
                for state in [both] + alone:
                    state.reset()
            elif action.startswith("reset"):
                both.reset(stream=int(action[-1]))
                alone[int(action[-1])].reset()
            elif action == "keep":
                kept = both.snapshot(), [state.snapshot() for state in alone]
            else:
                both.restore(kept[0])
                for state, caches in zip(alone, kept[1]):
                    state.restore(caches)

    def test_restore_takes_a_stream_back_to_its_snapshot(self, engine):
        frames = noise(engine.manifest.frame, 2 * COUNT)
        state, other = engine.new_state(), engine.new_state()
        steps(engine, state, frames[:COUNT])
        snapshot = state.snapshot()
        expected = steps(engine, state, frames[COUNT:])
        for again in (state, other):
            again.restore(snapshot)
            assert np.array_equal(steps(engine, again, frames[COUNT:]), expected)

    def test_a_snapshot_is_a_copy_both_ways(self, engine):
        frames = noise(engine.manifest.frame, 4)
        state = engine.new_state()
        steps(engine, state, frames[:2])
        snapshot = state.snapshot()
        copies = [cache.copy() for cache in snapshot]
        steps(engine, state, frames[2:])
        assert all(np.array_equal(a, b) for a, b in zip(snapshot, copies))
        state.restore(snapshot)
        for cache in snapshot:
            cache[...] = 99
        assert all(np.array_equal(a, b) for a, b in zip(state.snapshot(), copies))

    def test_restore_refuses_what_does_not_fit_and_changes_nothing(self, engine):
        state = engine.new_state()
        steps(engine, state, noise(engine.manifest.frame, 2))
        good = state.snapshot()
        for bad in (
            good[:-1],
            engine.new_state(2).snapshot(),
            good[:-1] + [good[-1].astype(np.float64)],
            good[:-1] + [good[-1][:, :, :1]],
        ):
            with pytest.raises(ValueError, match="snapshot"):
                state.restore(bad)
        assert all(np.array_equal(a, b) for a, b in zip(state.snapshot(), good))

    # ------------------------------------------------------------ what goes in and out

    def test_step_changes_neither_frames_nor_earlier_logits(self, engine):
        frames = noise(engine.manifest.frame, 2)
        copy = frames.copy()
        state = engine.new_state()
        first = engine.step(frames[0], state)
        kept = first.copy()
        second = engine.step(frames[1], state)
        assert np.array_equal(frames, copy)
        assert np.array_equal(first, kept)
        assert not np.array_equal(first, second)

    def bad_frames(self, shape):
        good = np.zeros(shape, np.float32)
        yield "a list", good.tolist()
        yield "no batch axis", good[0]
        yield "another number of streams", np.concatenate([good, good])
        yield "no stream", good[:0]
        yield "another height", np.ascontiguousarray(good[..., :-1, :])
        yield "another width", np.ascontiguousarray(good[..., :-1])
        yield "channels last", np.ascontiguousarray(np.moveaxis(good, -3, -1))
        yield "float64", good.astype(np.float64)
        yield "uint8", good.astype(np.uint8)
        yield "swapped bytes", good.astype(">f4" if np.little_endian else "<f4")
        yield "strided", np.zeros(shape[:-1] + (2 * shape[-1],), np.float32)[..., ::2]

    def test_frames_that_do_not_fit_are_refused_and_change_nothing(self, engine):
        state = engine.new_state()
        steps(engine, state, noise(engine.manifest.frame, 2))
        before = state.snapshot()
        for what, bad in self.bad_frames((1,) + engine._frame_shape):
            with pytest.raises(ValueError, match="frames"):
                engine.step(bad, state)
                pytest.fail(what)
        assert state.frames == 2
        assert all(np.array_equal(a, b) for a, b in zip(state.snapshot(), before))

    def test_a_state_of_another_engine_is_refused(self, engine, models):
        with self.open(os.path.join(models, self.online_model + ".onnx")) as other:
            foreign = other.new_state()
            with pytest.raises(ValueError, match="state"):
                engine.step(noise(engine.manifest.frame, 1)[0], foreign)

    def test_streams_that_do_not_exist_are_refused(self, engine):
        state = engine.new_state(2)
        for stream in (-1, 2):
            with pytest.raises(ValueError, match="stream"):
                state.reset(stream=stream)
        with pytest.raises(ValueError, match="streams"):
            engine.new_state(0)

    @pytest.mark.parametrize("poison", [np.nan, np.inf])
    def test_a_frame_that_is_not_finite_is_named_and_leaves_no_trace(self, engine, poison):
        frames = noise(engine.manifest.frame, 4, 2)
        untouched, state = engine.new_state(2), engine.new_state(2)
        expected = steps(engine, untouched, frames)
        steps(engine, state, frames[:2])
        bad = frames[2].copy()
        bad[1] = poison
        with pytest.raises(InputError, match="logits") as caught:
            engine.step(bad, state)
        assert "frame 2" in str(caught.value)
        assert state.frames == 2
        assert np.array_equal(steps(engine, state, frames[2:]), expected[2:])

    # ------------------------------------------------------------ whole clips

    def test_clips_equal_what_torch_computes(self, offline, models):
        expected = np.load(os.path.join(models, self.offline_model + ".npy"))  # (clips, classes)
        clips = np.ascontiguousarray(
            noise(offline.manifest.frame, 2 * offline.manifest.shift.n_segment + 1, 2).swapaxes(0, 1)[
                :, : offline.manifest.shift.n_segment
            ]
        )
        copy = clips.copy()
        got = offline.clip(clips)
        assert got.dtype == np.float32
        assert self.close_to(got, expected)
        assert np.array_equal(clips, copy)

    def test_clips_that_do_not_fit_are_refused(self, offline):
        n_segment = offline.manifest.shift.n_segment
        for what, bad in self.bad_frames((1, n_segment) + offline._frame_shape):
            if what == "another number of streams":
                continue  # any number of clips fits
            with pytest.raises(ValueError, match="frames"):
                offline.clip(bad)
                pytest.fail(what)
        with pytest.raises(ValueError, match="frames"):
            offline.clip(np.zeros((1, n_segment + 1) + offline._frame_shape, np.float32))

    def test_a_clip_that_is_not_finite_is_named(self, offline):
        clip = np.full((1, offline.manifest.shift.n_segment) + offline._frame_shape, np.nan, np.float32)
        with pytest.raises(InputError, match="logits"):
            offline.clip(clip)

    def test_modes_do_not_mix(self, engine, offline):
        with pytest.raises(InputError, match="mode"):
            offline.new_state()
        with pytest.raises(InputError, match="mode"):
            offline.step(np.zeros((1,) + offline._frame_shape, np.float32), engine.new_state())
        with pytest.raises(InputError, match="mode"):
            engine.clip(np.zeros((1, engine.manifest.shift.n_segment) + engine._frame_shape, np.float32))
