"""Clip evaluation: its logits are those of the network, whatever runs it; its figures follow from them."""

import json

import numpy as np
import pytest
import torch

from tests.export.evaluation import toy as ev
from tests.export.training import toy
from tests.tolerances import allowed
from tsm_edge.errors import InputError
from tsm_edge_export import checkpoints
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.evaluation import report as reports
from tsm_edge_export.evaluation.clips import Settings, evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.exporter import export
from tsm_edge_export.training import crops, lists, sampling
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.config import Sampling
from tsm_edge_export.training.dataset import normalised

FLIPS = {"move left": "move right", "move right": "move left"}
FLIP_MAP = '[augment.flip_map]\n"move left" = "move right"\n"move right" = "move left"\n'
VIEWS = [
    Settings(),
    Settings(clips=2, crops=3),
    Settings(Sampling("dense", 12), clips=4),
    Settings(clips=2, crops=3, flips=True),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return ev.project(tmp_path_factory.mktemp("eval"), more=FLIP_MAP)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return ev.project(tmp_path_factory.mktemp("offline") / "p", "bidirectional")


@pytest.fixture(scope="module")
def onnx(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    return export(str(project.recipe), str(project.weights), output=folder / "toy.onnx")


def wide_clips(count=3, frames=11):
    """Clips of frames that are larger than the input, and wider than high."""
    rng = np.random.default_rng(5)
    return [
        ev.Pictures(f"clip {number}", number % 2, rng.integers(0, 256, (frames, 40, 56, 3), np.uint8))
        for number in range(count)
    ]


def by_hand(network, direction, frame, clip, settings, flips):
    """Logits of a clip, straight from the published rules."""
    n_segment, views = 4, []
    for row in sampling.eval_indices(settings.sampling.kind, clip.count, n_segment, settings.clips, 12):
        for view in crops.eval_crops(clip.read(row), frame, settings.crops):
            for mirrored in (False, True)[: 1 + settings.flips]:
                pictures = view[:, :, ::-1].copy() if mirrored else view
                x = normalised(torch.from_numpy(pictures), frame)[None]
                with torch.no_grad():
                    logits = network.clip(x, direction)[0][0].mean(0).numpy()
                views.append(logits[flips] if mirrored else logits)
    return np.mean(views, 0)


@pytest.mark.parametrize("settings", VIEWS)
@pytest.mark.parametrize("kind", ["checkpoint", "onnx"])
def test_views_are_averaged_as_published(project, onnx, settings, kind):
    network = open_engine(project.weights).network
    clips = wide_clips()
    with open_engine(project.weights if kind == "checkpoint" else onnx) as engine:
        data = sets.from_clips(clips, toy.LABELS, flips=FLIPS)
        report = evaluate_clips(engine, data, settings)
    for row, clip in zip(report.rows, clips, strict=True):
        expected = by_hand(network, "causal", engine.manifest.frame, clip, settings, [1, 0])
        assert np.abs(np.array(row.logits) - expected).max() <= allowed(expected)
        assert (row.name, row.label) == (clip.name, clip.label)


def test_an_offline_engine_and_its_checkpoint_agree(offline, tmp_path):
    model = export(str(offline.recipe), str(offline.weights), output=tmp_path / "offline.onnx")
    figures, rows = [], []
    for path in (offline.weights, model):
        with open_engine(path) as engine:
            report = evaluate_clips(engine, sets.from_list(offline.list, engine.manifest.labels), Settings(crops=3))
        figures.append(report.figures)
        rows.append(np.array([row.logits for row in report.rows]))
        assert report.model["direction"] == "bidirectional"
        assert report.figures["seen"] is None  # its first answer comes with the last frame
    assert figures[0] == figures[1]
    assert np.abs(rows[0] - rows[1]).max() <= allowed(rows[0])


def test_the_accuracy_is_that_of_the_training(project):
    from tsm_edge_export.training import config as configs
    from tsm_edge_export.training.classification import Classification
    from tsm_edge_export.training.lists import load_data

    config = configs.load(project.config)
    with open_engine(project.weights) as engine:
        report = evaluate_clips(engine, sets.from_config(project.config, engine.manifest.labels))
        network = engine.network.requires_grad_(True)
        task = Classification(config, network, load_data(config, project.config), None, "cpu")
        assert report.top1 == task.evaluate(network, list)["top1"]
    assert 0 < report.top1 < 1  # neither all nor nothing: the figure says something


def test_figures_from_rows():
    rows = [
        # label, logits, seen
        (0, (3.0, 1.0, 2.0), (1, 0)),
        (0, (1.0, 1.0, 0.0), (0, 0)),  # of equals the first
        (1, (1.0, 1.0, 0.0), (1, 0)),
        (1, (0.0, 1.0, 2.0), (1, 2)),
    ]
    report = reports.ClipReport(
        model={},
        list={"clips": 4, "total": 5},
        labels=("a", "b", "c"),
        settings={},
        environments=(),
        shard=reports.Shard(1, 1),
        broken={"x": "y"},
        rows=tuple(reports.Row(n, str(n), label, logits, seen) for n, (label, logits, seen) in enumerate(rows)),
    )
    figures = report.figures
    assert figures["top1"] == {"right": 2, "share": 0.5}
    assert figures["top5"] == {"of": 3, "right": 4, "share": 1.0}
    assert figures["mean_class"] == 0.5  # 1 and 0; no clip of "c"
    assert [row["share"] for row in figures["per_class"]] == [1.0, 0.0, None]
    assert figures["confusion"] == [[2, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert [point["right"] for point in figures["seen"]] == [3, 2]
    assert [row.rank for row in report.rows] == [0, 0, 1, 1]
    assert reports.from_json(reports.to_json(report), "x") == report


def test_top5_counts_five():
    logits = (6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0)
    rows = tuple(reports.Row(n, str(n), n, logits, None) for n in range(7))
    report = reports.ClipReport({}, {}, tuple("abcdefg"), {}, (), reports.Shard(1, 1), {}, rows)
    assert report.figures["top5"] == {"of": 5, "right": 5, "share": 5 / 7}


def test_accuracy_grows_with_the_frames_seen():
    """The first two of four frames say another class than the last two, with less weight."""
    engine = ev.Reader()
    clips = [ev.Pictures("a", 1, ev.grey([80, 80, 40, 40])), ev.Pictures("b", 1, ev.grey([40, 40, 40, 40]))]
    report = evaluate_clips(engine, sets.from_clips(clips, ev.LABELS))
    assert [row.seen for row in report.rows] == [(2, 2, 2, 1), (1, 1, 1, 1)]
    assert [point["share"] for point in report.figures["seen"]] == [0.5, 0.5, 0.5, 1.0]


def test_every_view_starts_from_a_fresh_state():
    engine = ev.Reader(share=0.9)
    one, other = ev.Pictures("a", 1, ev.grey([40] * 4)), ev.Pictures("b", 2, ev.grey([80] * 4))
    alone = evaluate_clips(engine, sets.from_clips([one], ev.LABELS))
    after = evaluate_clips(engine, sets.from_clips([other, one], ev.LABELS), Settings(clips=2))
    assert after.rows[1].logits == alone.rows[0].logits


def test_workers_change_nothing(project):
    with open_engine(project.weights) as engine:
        data = sets.from_list(project.list, engine.manifest.labels)
        assert evaluate_clips(engine, data, workers=2) == evaluate_clips(engine, data, workers=0)


def test_clips_backwards_under_the_other_label():
    frames = ev.grey([0, 40, 80, 40])
    engine = ev.Reader()
    pictures = [ev.Pictures("a", 0, frames)]
    clips = lists.both_ways(pictures, ev.LABELS, {"wave": "nod"}, Broken(1), "test")
    data = sets.from_clips(clips, ev.LABELS)
    report = evaluate_clips(engine, data)
    assert [(row.name, row.label) for row in report.rows] == [("a", 0), ("a (backwards)", 1)]
    assert [row.seen[0] for row in report.rows] == [0, 1]  # 0 comes first in one, 40 in the other


def test_broken_clips_are_named_left_out_and_counted():
    clips = [ev.Pictures(f"clip {n}", 0, ev.grey([0] * 4), broken=n == 7) for n in range(150)]
    report = evaluate_clips(ev.Reader(), sets.from_clips(clips, ev.LABELS))
    assert len(report.rows) == 149
    assert list(report.broken) == ["clip 7"]
    assert "damaged" in report.broken["clip 7"]
    clips[90].broken = True
    with pytest.raises(InputError, match="at most 1 %"):
        evaluate_clips(ev.Reader(), sets.from_clips(clips, ev.LABELS))


def test_lists_of_every_form(tmp_path):
    colours = {"wave": 0, "nod": 40}
    for label, level in colours.items():
        (tmp_path / "videos" / label).mkdir(parents=True)
        ev.write_video(tmp_path / "videos" / label / "a.avi", ev.grey([level] * 8), 10)
    rows = ["path,start,end,label", "videos/wave/a.avi,0,0.4,wave", "videos/nod/a.avi,0.2,0.8,nod"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    for path in (tmp_path / "videos", tmp_path / "list.csv"):
        data = sets.from_list(path, ev.LABELS)
        report = evaluate_clips(ev.Reader(), data)
        assert sorted(row.label for row in report.rows) == [0, 1]
        assert report.top1 == 1.0
        assert report.list == {"name": path.name, "sha256": data.sha256, "clips": 2, "total": 2}


def test_rendered_gestures_are_those_of_the_test_split(tmp_path):
    data = sets.rendered(12, 3, (32, 32))
    assert [clip.label for clip in data.clips] == list(range(12))
    assert all(clip.name.startswith("synthetic/test/") for clip in data.clips)
    config = tmp_path / "c.toml"
    config.write_text(
        'direction = "causal"\n[data]\nkind = "synthetic"\nsynthetic = {train = 24, test = 12, size = 32}\n'
    )
    for split in ("train", "validation", "test"):
        made = sets.from_config(config, data.labels, split)
        assert all(clip.name.startswith(f"synthetic/{split}/") for clip in made.clips)
        assert len(made.clips) == (24 if split == "train" else 12)
    with pytest.raises(InputError, match="synthetic gestures"):
        sets.from_config(config, ("a", "b"))


def test_a_bidirectional_checkpoint_run_causally_must_be_forced(offline):
    with pytest.raises(InputError) as refusal:
        open_engine(offline.weights, direction="causal")
    assert f"tsm-edge train my.toml --start {offline.weights} --direction causal" in str(refusal.value)
    with open_engine(offline.weights, direction="causal", force=True) as engine:
        clips = sets.from_clips([ev.Pictures("a", 0, toy.frames(100, 0))], toy.LABELS)
        report = evaluate_clips(engine, clips)
        assert (report.model["direction"], report.model["trained_direction"]) == ("causal", "bidirectional")
        x = normalised(torch.from_numpy(toy.frames(100, 0).copy()), engine.manifest.frame)[None]
        expected = engine.network.clip(x, "causal")[0][0].mean(0).detach().numpy()
    with open_engine(offline.weights) as engine:
        other = evaluate_clips(engine, clips)
    got = np.array(report.rows[0].logits)
    assert np.abs(got - expected).max() <= allowed(expected)
    assert np.abs(got - np.array(other.rows[0].logits)).max() > 0.1 * np.abs(expected).max()


def test_a_checkpoint_needs_its_recipe(project, tmp_path):
    alone = tmp_path / "weights.safetensors"
    alone.write_bytes(project.weights.read_bytes())
    with pytest.raises(InputError, match="--recipe"):
        open_engine(alone)
    with open_engine(alone, project.recipe) as engine:
        assert engine.manifest.labels == toy.LABELS
    with pytest.raises(InputError, match="no such file"):
        open_engine(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "direction, force, text", [("bidirectional", False, "exported as causal"), (None, True, "checkpoint itself")]
)
def test_an_engine_file_has_one_direction(onnx, direction, force, text):
    with pytest.raises(InputError, match=text):
        open_engine(onnx, direction=direction, force=force)


def test_the_weights_are_recognised_in_either_form(project, onnx):
    from tsm_edge_export.evaluation.engines import identity

    with open_engine(project.weights) as one, open_engine(onnx) as other:
        first, second = identity(one), identity(other)
        digest = checkpoints.weights_sha256(one.network.state_dict())
    assert first["weights_sha256"] == second["weights_sha256"] == digest
    assert first["file_sha256"] != second["file_sha256"]
    assert first["trained"] is second["trained"] is True


def test_a_list_keeps_its_hash_and_no_other_has_it():
    clips = [ev.Pictures("a", 0, ev.grey([0] * 4)), ev.Pictures("b", 1, ev.grey([0] * 5))]
    base = sets.from_clips(clips, ev.LABELS).sha256
    assert sets.from_clips(clips, ev.LABELS, "another name").sha256 == base
    others = [
        sets.from_clips(clips[::-1], ev.LABELS),
        sets.from_clips(clips[:1], ev.LABELS),
        sets.from_clips([clips[0], ev.Pictures("b", 2, ev.grey([0] * 5))], ev.LABELS),
        sets.from_clips([clips[0], ev.Pictures("b", 1, ev.grey([0] * 6))], ev.LABELS),
        sets.from_clips(clips, (*ev.LABELS[:3], "other")),
    ]
    assert len({base, *(other.sha256 for other in others)}) == 6


@pytest.mark.parametrize(
    "settings, shard, text",
    [
        (Settings(clips=3), (1, 1), "1 or 2 uniform"),
        (Settings(clips=0), (1, 1), "1 or 2 uniform"),
        (Settings(crops=2), (1, 1), "1 or 3"),
        (Settings(Sampling("random", 64)), (1, 1), "uniform or dense"),
        (Settings(Sampling("dense", 3)), (1, 1), "at least 4"),
        (Settings(flips=True), (1, 1), "flip_map"),
        (Settings(), (0, 2), "1 <= I <= N"),
        (Settings(), (3, 2), "1 <= I <= N"),
        (Settings(), (2, 2), "at most 1"),
    ],
)
def test_settings_that_cannot_be(settings, shard, text):
    data = sets.from_clips([ev.Pictures("a", 0, ev.grey([0] * 4))], ev.LABELS)
    with pytest.raises(InputError, match=text):
        evaluate_clips(ev.Reader(), data, settings, shard)


def test_three_crops_of_a_letterbox_cannot_be():
    data, engine = sets.from_clips([ev.Pictures("a", 0, ev.grey([0] * 4))], ev.LABELS), ev.Reader()
    engine.manifest = engine.manifest._replace(frame=engine.manifest.frame._replace(crop="letterbox"))
    with pytest.raises(InputError, match="whole frames"):
        evaluate_clips(engine, data, Settings(crops=3))


@pytest.mark.parametrize("labels", [("wave", "nod"), ("wave", "turn", "nod", "nothing")])
def test_labels_of_another_model(labels):
    data = sets.from_clips([ev.Pictures("a", 0, ev.grey([0] * 4))], labels)
    with pytest.raises(InputError, match="labels"):
        evaluate_clips(ev.Reader(), data)


def test_answers_that_are_no_numbers(project):
    with open_engine(project.weights) as engine:
        next(engine.network.parameters()).data.fill_(float("nan"))
        with pytest.raises(InputError, match="NaN"):
            evaluate_clips(engine, sets.from_list(project.list, engine.manifest.labels))


def test_the_json_is_for_other_programs(project):
    with open_engine(project.weights) as engine:
        report = evaluate_clips(engine, sets.from_list(project.list, engine.manifest.labels))
    values = json.loads(reports.to_json(report))
    assert values["figures"] == report.figures
    assert values["environments"][0]["versions"]["torch"] == torch.__version__
    assert values["model"]["weights_sha256"] == report.model["weights_sha256"]
    assert len(values["rows"]) == len(report.rows) == 12
