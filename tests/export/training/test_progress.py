"""What `tsm-edge train` prints while it trains and at the end, and what it starts from."""

import re
import time
import types
from pathlib import Path

import pytest

from tests.export.training import toy
from tsm_edge import cli
from tsm_edge.errors import InputError
from tsm_edge_export import recipe
from tsm_edge_export.training import journal, loop
from tsm_edge_export.training.train import start_file, train


def test_one_line_an_epoch(tmp_path, capsys):
    path = toy.project(tmp_path, schedule={"epochs": 3})
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    rows = journal.read(tmp_path / "out" / "log.jsonl")
    for number, line in enumerate(lines, 1):
        trained, tested = ([row for row in rows if row["kind"] == kind][number - 1] for kind in ("train", "test"))
        shown = (
            f"epoch {number}/3  loss {trained['loss']:.3f}  train {trained['top1']:6.1%}  test {tested['top1']:6.1%}"
        )
        assert line.startswith(shown)
        assert ("left, until" in line) == (number < 3)
    assert len(lines) == 3


def test_the_estimate_counts_what_this_run_trained(tmp_path, monkeypatch):
    path = toy.project(tmp_path)
    clock, said = iter(range(0, 10_000, 10)), []
    output = tmp_path / "out"
    trainer_time = types.SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter)
    monkeypatch.setattr(loop, "time", trainer_time)
    monkeypatch.setattr(loop.journal, "epoch_line", lambda *values: said.append(values) or "")
    monkeypatch.setattr(loop, "DRAW_SECONDS", 1e9)
    train(path, {"run": {"output": str(output)}, "schedule": {"epochs": 4}})
    # run() and each epoch's end read the clock; the last argument is the time left
    assert [round(values[-1]) for values in said] == [60, 40, 20, 0]


def test_how_long_it_takes_in_words():
    assert [journal.duration(s) for s in (0.4, 59, 100, 5900, 12600)] == ["0 s", "59 s", "2 min", "98 min", "3.5 h"]
    assert re.fullmatch(r"\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d", journal.clock(60))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", journal.clock(200_000))
    assert journal.clock(1e18) == journal.clock(9e11) == "later"


def test_one_epoch_needs_no_warmup_stated(tmp_path):
    path = toy.project(tmp_path)
    path.write_text(path.read_text().replace("warmup = 0.5", "").replace("epochs = 2", "epochs = 1"))
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("count", [5, 6])
def test_top5_is_shown_for_more_than_five_labels(tmp_path, capsys, count):
    labels = [*toy.LABELS, "c", "d", "e", "f"][:count]
    path = toy.project(tmp_path, labels=labels, train=6, augment={"flip": False}, schedule={"epochs": 1})
    clips = (tmp_path / "data" / "list_0.txt").read_text().split()[::3]
    lines = [f"{clip} {toy.COUNT} {index % count}\n" for index, clip in enumerate(clips)]
    (tmp_path / "data" / "list_0.txt").write_text("".join(lines))
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "top-1" in out and ("top-5" in out) == (count > 5)
    assert "top5" in journal.read(tmp_path / "out" / "log.jsonl")[-1]["best"]


def test_a_recipe_is_a_start(tmp_path, capsys):
    path = toy.project(tmp_path, arch={"width": 1.0}, shift={"fold_div": 8, "n_segment": 4}, schedule={"epochs": 1})
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out"), "--start", "mobilenetv2_tsm"]) == 0
    assert "started from mobilenetv2_tsm.safetensors (safetensors, causal), new classifier" in capsys.readouterr().out
    file = recipe.load("mobilenetv2_tsm").weights.file
    assert start_file("mobilenetv2_tsm") == start_file(file) == Path(file)


def test_a_start_that_is_neither_file_nor_recipe_with_weights(tmp_path, capsys):
    path = toy.project(tmp_path)
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out"), "--start", "mobilenetv3"]) == 2
    assert "mobilenetv2_tsm" in capsys.readouterr().err
    bare = [name for name in recipe.names() if recipe.load(name).weights[:2] == (None, None)]
    for name in bare:
        with pytest.raises(InputError, match="a recipe without weights"):
            start_file(name)
    assert bare


def test_the_weights_of_a_recipe_may_be_a_download(tmp_path, monkeypatch):
    path = tmp_path / "far.toml"
    path.write_bytes((recipe.FOLDER / "mobilenetv2_tsm.toml").read_bytes())
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"weights")
    text = path.read_text()
    path.write_text(text[: text.index("[weights]")] + f'[weights]\nurl = "{weights.as_uri()}"\n')
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    monkeypatch.setenv("TSM_EDGE_CACHE", str(tmp_path / "cache"))
    assert start_file("far").read_bytes() == b"weights"
