"""Training items: what the random choices depend on, and that options which are off draw nothing."""

import numpy as np
import pytest
import torch

from tests.export.training import toy
from tsm_edge_export.training import dataset
from tsm_edge_export.training.config import load
from tsm_edge_export.training.crops import train_crop
from tsm_edge_export.training.dataset import TrainSet, loader, train_batches
from tsm_edge_export.training.lists import load_data
from tsm_edge_export.training.sampling import train_indices

AUGMENTS = {
    "multi-scale": {},
    "colour": {"colour": 0.3},
    "view": {"crop": "view", "rotate": 5.0},
    "view and colour": {"crop": "view", "colour": 0.5},
}


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    toy.write(folder / "data", 4)
    toy.write(folder / "data", 1, first=8)
    path = folder / "toy.toml"
    lists = 'kind = "frames"\nroot = "data"\ntrain = "data/list_0.txt"\ntest = "data/list_8.txt"\n'
    size = "frame = {height = 32, width = 32, short_side = 32}\nshift = {n_segment = 4}\n"
    path.write_text('direction = "causal"\nbatch = 4\nlabels = ["a", "b"]\n' + size + "[data]\n" + lists)
    return path


def items(config_file, augment, seed=0):
    config = load(config_file, {"augment": augment, "seed": seed})
    return TrainSet(load_data(config, "x").train, config, [0, 1])


def test_options_that_are_off_draw_nothing(config_file):
    clips = items(config_file, {})
    for epoch, index in ((0, 0), (0, 5), (3, 2), (7, 7)):
        rng = np.random.default_rng([0, 1, epoch, index])
        clip = clips.clips[index]
        frames = clip.read(train_indices("uniform", clip.count, 4, rng, 64))
        frames = train_crop(frames, clips.frame, (1.0, 0.875, 0.75, 0.66), rng)
        frames = frames[:, :, ::-1] if rng.random() < 0.5 else frames
        np.testing.assert_array_equal(clips[epoch, index][1][0], frames)


@pytest.mark.parametrize("augment", AUGMENTS.values(), ids=AUGMENTS.keys())
def test_choices_depend_on_seed_epoch_and_clip_alone(config_file, augment):
    clips = items(config_file, augment)
    keys = [(epoch, index) for epoch in range(3) for index in range(len(clips))]
    there = {key: clips[key][1].tobytes() for key in keys}
    back = {key: clips[key][1].tobytes() for key in reversed(keys)}
    assert there == back
    other = items(config_file, augment, seed=1)
    changed = [other[key][1].tobytes() != there[key] for key in keys]
    assert sum(changed) > len(keys) / 2  # a multi-scale crop has few places in so small a frame
    epochs = [there[0, index] != there[1, index] for index in range(len(clips))]
    assert sum(epochs) > len(clips) / 2


@pytest.mark.parametrize("augment", AUGMENTS.values(), ids=AUGMENTS.keys())
def test_workers_change_nothing(config_file, augment):
    clips = items(config_file, augment)
    batches = train_batches(len(clips), 4, 0, 0)
    alone, shared = (list(loader(clips, batches, workers)) for workers in (0, 2))
    assert len(alone) == 2
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.frames, other.frames)
        assert torch.equal(one.labels, other.labels)


def test_a_worker_says_nothing_of_a_main_process_that_has_gone(capsys):
    for error in (ConnectionResetError("gone"), EOFError("gone"), ValueError("a fault")):
        dataset._without_lost_connections(type(error), error, None)
    assert capsys.readouterr().err == "ValueError: a fault\n"
