"""Stream evaluation: the events of `tsm-edge run`, delays to the frame, and clips that are streams, to the bit."""

import json

import numpy as np
import pytest

from tests.export.evaluation import toy as ev
from tests.export.training import toy
from tests.tolerances import allowed
from tsm_edge import cli
from tsm_edge.errors import InputError, SourceError
from tsm_edge.heads.classification import softmax
from tsm_edge.sources.video import VideoFile
from tsm_edge.toml_file import read_toml
from tsm_edge_export import synthetic
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.evaluation import stream as streams
from tsm_edge_export.evaluation import truth as truths
from tsm_edge_export.evaluation.clips import evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.evaluation.stream import ClipSource, evaluate_stream
from tsm_edge_export.exporter import export
from tsm_edge_export.recipe import merge
from tsm_edge_export.training.train import toml_lines

FPS = 10.0
STEADY = {"window": 2, "threshold": 0.5, "hysteresis": 2, "ignored": ["nothing"]}


def clip_of(*parts):
    """A clip of (class, frames) after another."""
    levels = [number * ev.STEP for number, count in parts for _ in range(count)]
    return ev.Pictures("parts", 0, ev.grey(levels))


def evaluated(clip, truth, decision=None, **options):
    return evaluate_stream(ev.Reader(decision), ClipSource(clip, FPS), truth, **options)


# Two seconds of nothing, one of "nod", two of nothing, one of "turn" that is really a "wave", one of nothing.
PARTS = [(3, 20), (1, 10), (3, 20), (2, 10), (3, 10)]
TRUTH = [("nod", 2.0, 3.0), ("wave", 5.0, 6.0)]


def test_events_delays_and_rates():
    report = evaluated(clip_of(*PARTS), TRUTH)
    assert [(d.label, d.start, d.end, d.shown) for d in report.detections] == [
        ("nod", 2.0, 2.9, 2.0),
        ("turn", 5.0, 5.9, 5.0),
    ]
    assert [m.outcome for m in report.matches] == ["right", "wrong"]
    assert (report.frames, report.seconds) == (70, 7.0)
    figures = report.figures
    assert (figures["right"], figures["wrong"], figures["missed"], figures["false"]) == (1, 1, 0, 0)
    assert figures["delay_from_start"] == {"median": 0.0, "p90": 0.0}
    assert figures["delay_from_end"] == {"median": -1.0, "p90": -1.0}


def test_the_delay_is_that_of_the_decision_layer():
    """The mean of two logits leads one frame later, two votes in a row need one more."""
    report = evaluated(clip_of(*PARTS), TRUTH, STEADY)
    nod = report.detections[0]
    assert (nod.start, nod.shown) == (2.1, 2.2)
    assert report.figures["delay_from_start"]["median"] == pytest.approx(0.2)
    assert report.settings["decision"] == STEADY


def test_a_decision_in_place_of_the_models():
    assert evaluated(clip_of(*PARTS), TRUTH, decision=None).settings["decision"]["window"] == 1
    report = evaluate_stream(ev.Reader(), ClipSource(clip_of(*PARTS), FPS), TRUTH, decision=STEADY)
    assert report.detections[0].shown == 2.2


def test_false_events_and_fragments_count_apart():
    parts = [(0, 10), (3, 20), (1, 4), (3, 2), (1, 4), (3, 20)]  # a wave that nobody made; a nod in two pieces
    report = evaluated(clip_of(*parts), [("nod", 3.0, 4.0)])
    assert [m.outcome for m in report.matches] == ["false", "right", "fragment"]
    assert report.figures["false_per_minute"] == pytest.approx(60 / 6)


def test_an_event_that_is_open_at_the_end_counts():
    report = evaluated(clip_of((3, 10), (1, 10)), [("nod", 1.0, 2.0)])
    assert [(d.label, d.end) for d in report.detections] == [("nod", 1.9)]
    assert report.figures["right"] == 1


def test_ignored_labels_are_no_events():
    report = evaluated(clip_of(*PARTS), [*TRUTH, ("nothing", 0.0, 2.0)])
    assert [event.label for event in report.truth] == ["nod", "wave"]


def test_the_rate_of_the_model_thins_the_stream_out():
    half = evaluate_stream(ev.Reader(fps=5.0), ClipSource(clip_of(*PARTS), FPS), TRUTH)
    assert (half.frames, half.seconds, half.settings["fps"]) == (35, 7.0, 5.0)
    asked = evaluated(clip_of(*PARTS), TRUTH, fps=2.0)
    assert (asked.frames, asked.settings["fps"]) == (14, 2.0)


def test_the_json_says_what_became_of_every_event():
    values = json.loads(streams.to_json(evaluated(clip_of(*PARTS), [*TRUTH, ("turn", 6.5, 6.9)])))
    assert [(event["label"], event["outcome"], event["detection"]) for event in values["truth"]] == [
        ("nod", "right", 0),
        ("wave", "wrong", 1),
        ("turn", "missed", None),
    ]
    assert values["detections"][0] == {
        "label": "nod",
        "start": 2.0,
        "end": 2.9,
        "confidence": values["detections"][0]["confidence"],
        "shown": 2.0,
        "truth": 0,
        "outcome": "right",
    }
    assert values["figures"]["right"] == 1
    assert values["model"]["engine"] == "reader"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose model decides by the mean of two logits, and its ONNX export."""
    folder = tmp_path_factory.mktemp("stream")
    made = ev.project(folder)
    values = merge(read_toml(made.recipe, "a recipe"), {"decision": {"window": 2, "threshold": 0.55}})
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = toml_lines(plain)
    for name in values.keys() - plain.keys():
        lines += [f"[{name}]", *toml_lines(values[name])]
    made.recipe.write_text("\n".join(lines) + "\n")
    return made, export(str(made.recipe), str(made.weights), output=folder / "toy.onnx")


def toy_stream(gestures=12):
    """Frames of toy gestures one after the other, larger than the model's and wider than high, and the truth."""
    frames = np.concatenate([toy.frames(number, number % 2) for number in range(gestures)])
    frames = np.pad(frames, ((0, 0), (8, 8), (16, 16), (0, 0)), mode="edge")
    seconds = toy.COUNT / FPS
    return frames, [(toy.LABELS[n % 2], n * seconds, (n + 1) * seconds) for n in range(gestures)]


@pytest.mark.parametrize("preprocess", ["fast", "exact"])
def test_the_events_are_those_of_a_run(project, tmp_path, capsys, preprocess):
    frames, truth = toy_stream()
    video = ev.write_video(tmp_path / "in.avi", frames, FPS)
    lines = tmp_path / "out.jsonl"
    arguments = ["run", "--engine", str(project[1]), "--source", video, "--jsonl", str(lines)]
    assert cli.main([*arguments, "--preprocess", preprocess]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    with open_engine(project[1]) as engine:
        report = evaluate_stream(engine, VideoFile(video), truth, preprocess=preprocess)
    values = json.loads(streams.to_json(report))
    expected = [
        {key: record[key] for key in ("label", "start", "end", "confidence")}
        for record in records
        if record["kind"] == "event" and record["type"] == "end"
    ]
    assert [{key: row[key] for key in expected[0]} for row in values["detections"]] == expected
    assert len(expected) >= 3
    shown = {"label": None}  # the frames on which a label appears that was not there before
    appeared = []
    for record in records:
        if record["kind"] == "frame":
            if record["label"] not in (None, shown["label"]):
                appeared.append((record["label"], record["time"]))
            shown = record
    assert [(row["label"], row["shown"]) for row in values["detections"]] == appeared
    assert values["frames"] == records[-1]["frames"] == len(frames)


def steps_of(engine, monkeypatch):
    """The logits that `engine` gives from here on, as a list that grows."""
    given, step = [], engine.step

    def recorded(frames, state, streams=None):
        outputs = step(frames, state, streams)
        given.append(outputs["logits"][0].copy())
        return outputs

    monkeypatch.setattr(engine, "step", recorded)
    return given


def test_clips_and_streams_agree_to_the_bit(project, monkeypatch):
    """One engine on the same frames: as clips of a list, and as a stream with the exact preprocessing."""
    n_segment = 4
    frames, _ = toy_stream(3)
    clips = [ev.Pictures(f"c{n}", 0, frames[n * n_segment : (n + 1) * n_segment]) for n in range(3)]
    whole = {"window": n_segment, "threshold": 0.0, "hysteresis": 1, "ignored": []}
    with open_engine(project[1]) as engine:
        report = evaluate_clips(engine, sets.from_clips(clips, toy.LABELS))
        for row, clip in zip(report.rows, clips, strict=True):
            with monkeypatch.context() as patch:
                steps = steps_of(engine, patch)
                streamed = evaluate_stream(engine, ClipSource(clip, FPS), [], preprocess="exact", decision=whole)
            mean = sum(step.astype(np.float64) for step in steps) / n_segment
            assert np.array_equal(np.array(row.logits, np.float32), mean.astype(np.float32))
            assert len(steps) == len(row.seen) == n_segment
            running = [np.mean(np.array(steps[: n + 1], np.float64), 0).astype(np.float32) for n in range(n_segment)]
            assert row.seen == tuple(int(logits.argmax()) for logits in running)
            last = streamed.detections[-1]  # with the last frame all logits of the clip are in the window
            assert last.label == toy.LABELS[row.predicted]
            assert last.confidence >= float(softmax(mean).max())


def test_a_checkpoints_clips_are_its_exports_streams(project, monkeypatch):
    """torch on whole clips, torch step by step, ONNX Runtime step by step: within the tolerance of logits."""
    frames, _ = toy_stream(2)
    clips = [ev.Pictures(f"c{n}", 0, frames[4 * n : 4 * n + 4]) for n in range(2)]
    with open_engine(project[0].weights) as network:
        rows = evaluate_clips(network, sets.from_clips(clips, toy.LABELS)).rows
        with open_engine(project[1]) as engine:
            for one in (network, engine):
                for row, clip in zip(rows, clips, strict=True):
                    with monkeypatch.context() as patch:
                        steps = steps_of(one, patch)
                        evaluate_stream(one, ClipSource(clip, FPS), [], preprocess="exact")
                    expected = np.array(row.logits)
                    assert np.abs(np.mean(steps, 0) - expected).max() <= allowed(expected)


def test_a_rendered_stream_is_a_source():
    made = synthetic.Stream(3, 8, size=(32, 32))
    with ClipSource(made, made.fps) as source:
        frames = [(frame.index, frame.time, frame.image.copy()) for frame in source]
    assert [index for index, _, _ in frames] == list(range(made.count))
    assert [time for _, time, _ in frames] == [index / made.fps for index in range(made.count)]
    assert np.array_equal(frames[17][2][..., ::-1], made.read([17])[0])


class TestTruth:
    def read(self, path, text, video="a/gestures.mp4"):
        path.write_text(text)
        return truths.read(path, video, ev.LABELS)

    def test_csv(self, tmp_path):
        text = "path,start,end,label\nx/gestures.mp4,3,4,nod\nother.mp4,0,1,huh\n\ngestures.mp4, 1, 2.5, wave\n"
        assert self.read(tmp_path / "t.csv", text) == [("wave", 1.0, 2.5), ("nod", 3.0, 4.0)]

    def test_json_as_synthetic_streams_have_it(self, tmp_path):
        text = json.dumps({"synthetic": True, "events": [{"label": "nod", "start": 1, "end": 2}]})
        assert self.read(tmp_path / "t.json", text) == [("nod", 1.0, 2.0)]

    @pytest.mark.parametrize(
        "name, text, part",
        [
            ("t.csv", "path,from,to,label\n", "path,start,end,label"),
            ("t.csv", "path,start,end,label\nother.mp4,1,2,nod\n", "no event of gestures.mp4"),
            ("t.csv", "path,start,end,label\ngestures.mp4,1,nod\n", "line 2"),
            ("t.csv", "path,start,end,label\ngestures.mp4,1,x,nod\n", "line 2"),
            ("t.csv", "path,start,end,label\ngestures.mp4,2,1,nod\n", "0 <= start < end"),
            ("t.csv", "path,start,end,label\ngestures.mp4,1,nan,nod\n", "0 <= start < end"),
            ("t.csv", "path,start,end,label\ngestures.mp4,1,2,jump\n", "label 'jump'"),
            ("t.json", "{", "damaged JSON"),
            ("t.json", "[1]", "damaged JSON"),
            ("t.json", '{"events": [{"label": "nod"}]}', "damaged JSON"),
            ("t.json", '{"events": [{"label": "nod", "start": "x", "end": 1}]}', "event 0"),
        ],
    )
    def test_refusals(self, tmp_path, name, text, part):
        with pytest.raises(InputError) as refusal:
            self.read(tmp_path / name, text)
        assert part in str(refusal.value)

    def test_unreadable(self, tmp_path):
        with pytest.raises(InputError, match="No such file"):
            truths.read(tmp_path / "none.csv", "a.mp4", ev.LABELS)
        (tmp_path / "t.csv").write_bytes(b"\xff\xfe\xff")
        with pytest.raises(InputError, match="UTF-8"):
            truths.read(tmp_path / "t.csv", "a.mp4", ev.LABELS)


def test_streams_that_cannot_be(project, tmp_path):
    clip = clip_of(*PARTS)
    with pytest.raises(InputError, match="label 'jump'"):
        evaluated(clip, [("jump", 0.0, 1.0)])
    with pytest.raises(InputError, match="at least 0 seconds"):
        evaluated(clip, TRUTH, tolerance=-1.0)
    with pytest.raises(InputError, match="no frames"):
        evaluated(ev.Pictures("none", 0, ev.grey([])), [])
    offline = open_engine(project[0].weights, direction="bidirectional", force=True)
    with pytest.raises(InputError, match="no next frame"):
        evaluate_stream(offline, ClipSource(clip, FPS), [])
    clip.broken = True
    with pytest.raises(SourceError, match="damaged"):
        evaluated(clip, TRUTH)
