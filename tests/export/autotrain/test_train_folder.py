"""`tsm-edge train FOLDER` from the first line to the page, and its refusals."""

import json
import re

import numpy as np
import pytest

from tests.export.autotrain.folders import small, write_data
from tests.export.training import toy
from tsm_edge.cli import main
from tsm_edge_export import recipe
from tsm_edge_export.autotrain import summary
from tsm_edge_export.evaluation.report import from_json


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training on 2 labels in 5 sessions, its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("train")
    write_data(folder / "data", sessions=("S1", "S2", "S3", "S4", "S5"), clips=8)
    override = small(folder)
    override.write_text(override.read_text() + "[schedule]\nepochs = 10\n")
    options = ["-o", str(folder / "out"), "--override", str(override)]
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("tsm_edge_export.commands.train.print_text", said.append)
        assert main(["train", str(folder / "data"), *options]) == 0
    return folder, "\n".join(said)


def test_it_says_what_it_does(trained):
    folder, said = trained
    first = said.splitlines()[0]
    assert first.startswith("80 clips of 2 labels in 5 recordings; 64 clips train, 16 validate, from recordings")
    assert "no mirrored clips: labels name a side" in said
    assert re.search(r"epoch 10/10  loss", said)
    assert re.search(r"accuracy [0-9.]+% of 16 validation clips \(95 % interval: \d+% to \d+%\)", said)
    assert said.splitlines()[-1] == f"next: tsm-edge export {folder / 'out'}"


def test_it_learns_the_order(trained):
    report = from_json((trained[0] / "out" / "validation.json").read_text(), "x")
    assert report.figures["top1"]["share"] >= 0.8  # only order tells the toy's labels apart
    assert report.model["direction"] == "causal"


def test_its_files(trained):
    out = trained[0] / "out"
    spec = recipe.load(str(out / "recipe.toml"))
    assert (spec.name, spec.mode, spec.labels, spec.fps) == ("data", "online", toy.LABELS, 10.0)
    names = {path.name for path in out.iterdir()}
    assert names >= {"config.toml", "train.csv", "validation.csv", "best.safetensors", "confusion.png", "report.html"}
    assert {f"worst_{place}.jpg" for place in range(1, 6)} <= names
    page = (out / "report.html").read_text()
    assert "tsm-edge export" in page and page.count("data:image/jpeg") == 5 and "move left" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_the_configuration_repeats_the_training(trained):
    folder = trained[0]
    assert main(["train", str(folder / "out" / "config.toml"), "-o", str(folder / "again"), "--device", "cpu"]) == 0
    first, second = (from_json((folder / name / "validation.json").read_text(), name) for name in ("out", "again"))
    assert [row.logits for row in first.rows] == [row.logits for row in second.rows]
    assert first.model["weights_sha256"] == second.model["weights_sha256"]


def test_the_log_holds_the_accuracy_of_each_label(trained):
    lines = [json.loads(line) for line in (trained[0] / "out" / "log.jsonl").read_text().splitlines()]
    tests = [line for line in lines if line["kind"] == "test"]
    assert all(line["of"] == [8, 8] and sum(line["right"]) == round(16 * line["top1"]) for line in tests)


def refused(capsys, *options):
    assert main(["train", *map(str, options)]) == 2
    return capsys.readouterr().err


def test_a_finished_training_is_not_overwritten(trained, capsys):
    folder = trained[0]
    before = (folder / "out" / "config.toml").read_text()
    assert "another training" in refused(capsys, folder / "data", "-o", folder / "out")
    assert (folder / "out" / "config.toml").read_text() == before


def test_the_default_output_is_new_each_time(trained, tmp_path, monkeypatch):
    from tsm_edge_export.autotrain import plan, run

    monkeypatch.chdir(tmp_path)
    request = plan.Request(str(trained[0] / "data"))
    assert str(run._output(request)) == "build/training/data"
    (tmp_path / "build" / "training" / "data").mkdir(parents=True)
    assert str(run._output(request)) == "build/training/data-2"


def test_an_output_in_the_data_folder(trained, capsys):
    data = trained[0] / "data"
    assert "where it would be a label" in refused(capsys, data, "-o", data / "out")


def test_options_of_the_other_kind(trained, capsys):
    folder = trained[0]
    assert "--direction" in refused(capsys, folder / "data", "--direction", "causal")
    assert "--minutes" in refused(capsys, folder / "out" / "config.toml", "--minutes", "3")


def test_resume_without_a_training(trained, tmp_path, capsys):
    assert "no config.toml" in refused(capsys, trained[0] / "data", "--resume", "-o", tmp_path)


def test_another_folder_validates(tmp_path, capsys):
    write_data(tmp_path / "data", sessions=("S1",), clips=4, count=6)
    write_data(tmp_path / "other", sessions=("S9",), clips=2, count=8)
    override = small(tmp_path)
    override.write_text(override.read_text() + "[schedule]\nepochs = 1\n")
    options = ["-o", tmp_path / "out", "--override", override, "--validation", tmp_path / "other"]
    assert main(["train", *map(str, [tmp_path / "data", *options])]) == 0
    assert "8 clips of 2 labels in 1 recording; 4 clips of" in capsys.readouterr().out
    (tmp_path / "other" / "move left").rename(tmp_path / "other" / "wave")
    assert "'wave'" in refused(capsys, tmp_path / "data", *options[:-2], "--validation", tmp_path / "other")


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 100, 0.7222, 0.8749)],
)
def test_wilson_intervals(right, count, low, high):
    """Values as in table 1 of R. Newcombe, Statistics in Medicine 17 (1998), and computed from the formula there."""
    assert summary.interval(right, count) == pytest.approx((low, high), abs=5e-4)


def test_the_strip_shows_what_the_network_saw(trained):
    import cv2

    picture = cv2.imread(str(trained[0] / "out" / "worst_1.jpg"))
    assert picture.shape == (32, 4 * 32, 3)
    assert np.ptp(picture) > 100
