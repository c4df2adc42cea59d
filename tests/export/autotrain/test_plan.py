"""The configuration that clips and minutes ask for."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.autotrain.folders import small, write_data
from tsm_edge.errors import InputError
from tsm_edge_export.autotrain import plan
from tsm_edge_export.autotrain.scan import scan
from tsm_edge_export.training import config as configs


def clips(*rows):
    return [SimpleNamespace(count=count, fps=fps) for count, fps in rows]


@pytest.mark.parametrize(
    ("rows", "fps"),
    [
        ([(60, 30.0)], 4.0),
        ([(30, 30.0), (60, 30.0), (120, 30.0)], 4.0),
        ([(20, None)], 4.0),
        ([(20, None), (45, 30.0)], 5.3),
        ([(300, 30.0)], 0.8),
    ],
)
def test_the_rate_makes_a_clip_as_long_as_the_segments(rows, fps):
    assert plan.model_fps(clips(*rows), 8) == fps


@pytest.mark.parametrize(
    ("path", "name"),
    [("data", "data"), ("my data/", "my-data"), ("a/b.c", "b-c"), ("手", "model"), (".", None)],
)
def test_names_fit_a_file(tmp_path, monkeypatch, path, name):
    monkeypatch.chdir(tmp_path)
    assert plan.name_of(path) == (name or tmp_path.name)


@given(st.integers(2, 10_000), st.integers(1, 2_000), st.floats(1e-4, 10), st.floats(0.1, 1000))
def test_epochs_fit_into_the_time(train, validation, seconds, minutes):
    epochs = plan.epochs_for(train, validation, seconds, minutes)
    assert plan.FEWEST_EPOCHS <= epochs <= plan.MOST_EPOCHS
    if epochs > plan.FEWEST_EPOCHS:
        assert epochs * seconds * (train + plan.VALIDATION_COST * validation) <= 60 * minutes
    assert epochs <= plan.epochs_for(train, validation, None, minutes)


def made(tmp_path, **changes):
    """The configuration of a data folder, written and read again."""
    contents = scan(tmp_path / "data")
    request = plan.Request(str(tmp_path / "data"), **changes)
    values = plan.settings(contents, contents.clips, request)
    values["schedule"]["epochs"] = 3
    sides = {plan.TRAIN: contents.clips, plan.VALIDATION: contents.clips[:2]}
    path = plan.write(tmp_path / "out", values, tmp_path / "data", contents.labels, sides)
    return configs.load(path)


def test_what_is_written_is_read_again(tmp_path):
    write_data(tmp_path / "data", labels=("wave", 'pu"sh, 100 %', "nothing"))
    config = made(tmp_path)
    assert config.labels == ("nothing", 'pu"sh, 100 %', "wave")
    assert config.decision == {"ignored": ["nothing"]}
    assert (config.direction, config.schedule.choose, config.start.weights) == ("causal", "last", plan.START)
    assert config.data.root == str(tmp_path / "data")
    assert not config.loss.balanced
    assert "nothing/S1_00.avi,,,nothing" in (tmp_path / "out" / plan.TRAIN).read_text()


def test_options_are_taken_over(tmp_path):
    write_data(tmp_path / "data", video=False)
    config = made(tmp_path, fps=15.0, still="idle", flip=False, device="cpu", workers=0, start="resnet50_tsm")
    assert (config.data.fps, config.data.still, config.augment.flip) == (15.0, "idle", False)
    assert (config.run.device, config.run.workers, config.start.weights) == ("cpu", 0, "resnet50_tsm")
    assert config.labels == ("move left", "move right", "idle")
    assert config.decision == {"ignored": ["idle"]}


def test_a_file_overrides_what_was_chosen(tmp_path):
    write_data(tmp_path / "data")
    config = made(tmp_path, override=str(small(tmp_path)))
    assert (config.arch.width, config.shift.n_segment, config.frame.height) == (0.25, 4, 32)
    assert config.start.weights is None  # the weights that would be taken are of another network
    with pytest.raises(InputError):
        made(tmp_path, override=str(tmp_path / "missing.toml"))


def test_labels_of_unlike_counts_are_balanced(tmp_path):
    write_data(tmp_path / "data", clips=1)
    write_data(tmp_path / "data", clips=4, labels=("push", "pull"), first=100)
    assert made(tmp_path).loss.balanced


def test_the_measured_time_of_a_clip(tmp_path):
    write_data(tmp_path / "data")
    contents = scan(tmp_path / "data")
    values = plan.settings(contents, contents.clips, plan.Request(str(tmp_path), override=str(small(tmp_path))))
    assert 0 < plan.seconds_per_clip(values) < 30
