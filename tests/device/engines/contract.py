"""What every engine must do, whatever its back end. A back end's test file derives from EngineContract and opens it."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.device.streams import noise, steps
from tests.tolerances import allowed
from tsm_edge.errors import InputError

COUNT = 5  # frames, where the length does not matter, only that there are several

# What a session does to a state of three streams: mostly it steps some of them, in any order.
SUBSETS = st.permutations(range(3)).flatmap(lambda order: st.integers(1, 3).map(lambda count: list(order)[:count]))
OTHERS = st.sampled_from(["reset 0", "reset 1", "reset 2", "reset", "keep", "back"])


class EngineContract:
    """Derive as `class TestX(EngineContract)`, define `open`, and name the models if they are others.

    tests/device_models.py makes the models and the logits that torch gives for them. tolerance: which row of the table
    applies. exact: a stream gives the same bits whichever other streams step along, as where each is a run of its own.
    """

    online_model, offline_model = "tiny_custom", "tiny_offline"
    tolerance = "float32"
    exact = False

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
        fresh = np.stack([engine.step(frame, engine.new_state())["logits"] for frame in frames])
        assert np.array_equal(got[0], fresh[0])
        assert not any(self.close_to(a, b) for a, b in zip(got[1:], fresh[1:]))

    def test_interleaved_states_never_touch(self, engine):
        first, second = noise(engine.manifest.frame, 2 * COUNT).reshape((2, COUNT, 1) + engine._frame_shape)
        alone = [steps(engine, engine.new_state(), frames) for frames in (first, second)]
        states = engine.new_state(), engine.new_state()
        got = [[], []]
        for t in range(COUNT):
            for stream, frames in enumerate((first, second)):
                got[stream].append(engine.step(frames[t], states[stream])["logits"])
        assert np.array_equal(np.stack(got[0]), alone[0])
        assert np.array_equal(np.stack(got[1]), alone[1])

    # ------------------------------------------------------------ some of the streams

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(SUBSETS, SUBSETS, SUBSETS, OTHERS), min_size=8, max_size=16))
    def test_streams_step_in_any_subset_and_order_as_if_alone(self, engine, actions):
        """A step of some streams gives what each gives alone, and leaves the caches of the others to the bit."""
        least = 2 * engine.manifest.shift.n_segment
        frames = noise(engine.manifest.frame, len(actions) + least, 3)
        state, alone = engine.new_state(3), [engine.new_state() for _ in range(3)]
        kept, seen = (state.snapshot(), [one.snapshot() for one in alone]), [0, 0, 0]

        def step(rows):
            before = state.snapshot()
            batch = np.stack([frames[seen[row], row] for row in rows])
            got = engine.step(batch, state, rows)["logits"]
            for place, row in enumerate(rows):
                expected = engine.step(batch[place : place + 1], alone[row])["logits"]
                assert self.same(got[place : place + 1], expected)
                seen[row] += 1
            others = [row for row in range(3) if row not in rows]
            assert all(np.array_equal(a[others], b[others]) for a, b in zip(before, state.snapshot()))

        for action in actions:
            if not isinstance(action, str):
                step(action)
            elif action == "keep":
                kept = state.snapshot(), [one.snapshot() for one in alone]
            elif action == "back":
                state.restore(kept[0])
                for one, caches in zip(alone, kept[1]):
                    one.restore(caches)
            else:
                stream = int(action[-1]) if action[-1].isdigit() else None
                state.reset(stream)
                for one in alone if stream is None else [alone[stream]]:
                    one.reset()
        while min(seen) < least:
            step([row for row in (2, 0, 1) if seen[row] < least])
        for one, caches in zip(alone, zip(*[np.split(cache, 3) for cache in state.snapshot()])):
            assert all(self.same(a, b) for a, b in zip(caches, one.snapshot()))

    def same(self, got, expected):
        return np.array_equal(got, expected) if self.exact else self.close_to(got, expected)

    @pytest.mark.parametrize("streams", [[], [0, 0], [0, 1, 0], [2], [-1], [0, 5], ["0"]])
    def test_streams_that_no_step_can_take_are_refused_and_change_nothing(self, engine, streams):
        frames, state = noise(engine.manifest.frame, 3, 3), engine.new_state(2)
        steps(engine, state, np.ascontiguousarray(frames[:2, :2]))
        before = state.snapshot()
        with pytest.raises(ValueError, match="stream"):
            engine.step(frames[2, : len(streams)], state, streams)
        for count in (1, 3):
            with pytest.raises(ValueError, match="frames"):
                engine.step(frames[2, :count], state, [1, 0])
        assert state.frames == 2
        assert all(np.array_equal(a, b) for a, b in zip(state.snapshot(), before))

    def test_a_step_of_some_streams_that_raises_leaves_all_as_they_were(self, engine):
        frames, state, untouched = noise(engine.manifest.frame, 4, 3), engine.new_state(3), engine.new_state(3)
        for each in (state, untouched):
            steps(engine, each, frames[:1])
            engine.step(frames[1, 1:2], each, [1])
        before = state.snapshot()
        bad = frames[2, [2, 0]]
        bad[1] = np.nan
        with pytest.raises(InputError, match="logits at frame 2 of stream 0"):
            engine.step(bad, state, [2, 0])
        assert state.frames == 2
        assert all(np.array_equal(a, b) for a, b in zip(state.snapshot(), before))
        for streams, rows in (([0, 2], [0, 2]), (None, [0, 1, 2])):
            batch = frames[3, rows]
            got, expected = (engine.step(batch, each, streams)["logits"] for each in (state, untouched))
            assert np.array_equal(got, expected)

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
                expected = np.concatenate([engine.step(frame[s : s + 1], alone[s])["logits"] for s in range(2)])
                assert self.close_to(engine.step(frame, both)["logits"], expected)
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
        first = engine.step(frames[0], state)["logits"]
        kept = first.copy()
        second = engine.step(frames[1], state)["logits"]
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
        got = offline.clip(clips)["logits"]
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
