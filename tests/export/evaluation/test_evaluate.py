"""`tsm-edge eval` on the command line: what it prints and writes, what it refuses, and that nothing half stays."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.export.evaluation import toy as ev
from tests.export.training import toy
from tsm_edge import cli
from tsm_edge_export import synthetic
from tsm_edge_export.evaluation.evaluate import EvaluationRequest, evaluate
from tsm_edge_export.synthetic import LABELS

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "evaluation.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    more = '[augment.flip_map]\n"move left" = "move right"\n"move right" = "move left"\n'
    return ev.project(tmp_path_factory.mktemp("command"), more=more)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return ev.project(tmp_path_factory.mktemp("offline"), "bidirectional")


@pytest.fixture(scope="module")
def gestures(tmp_path_factory):
    """Weights for the labels of the rendered gestures, of frames of 32 x 32."""
    folder = tmp_path_factory.mktemp("gestures")
    ev.untrained(folder, LABELS, ignored=("no gesture",))
    return folder / "weights.safetensors"


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of `tsm-edge eval`."""
    capsys.readouterr()
    code = cli.main(["eval", *(str(argument) for argument in arguments)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def test_a_list_from_table_to_files(project, tmp_path, capsys):
    output = tmp_path / "all.json"
    code, out, _ = run(capsys, "--engine", project.weights, "--list", project.list, "--workers", 0, "-o", output)
    assert code == 0
    values = json.loads(output.read_text())
    assert values["figures"]["clips"] == 12
    assert f"top-1 {values['figures']['top1']['share']:.1%}" in out
    for row in values["figures"]["per_class"]:
        assert f"{row['label']} " in out
        assert f"{row['share']:.1%}" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.confusion.png", "all.json", "all.seen.png"]
    for name in ("confusion", "seen"):
        picture = cv2.imread(str(tmp_path / f"all.{name}.png"))
        assert min(picture.shape[:2]) > 200
        assert picture.std() > 10  # something is drawn


def test_it_is_a_call_without_a_command_line(project, tmp_path, capsys):
    said, output = [], tmp_path / "all.json"
    request = EvaluationRequest(list=str(project.list), engine=str(project.weights), workers=0, output=str(output))
    evaluate(request, said.append)
    assert "top-1" in said[0] and capsys.readouterr().out == ""
    assert json.loads(output.read_text())["figures"]["clips"] == 12


def test_a_configuration_brings_sampling_flips_and_pairs(project, tmp_path, capsys):
    output = tmp_path / "all.json"
    more = ["--clips", 2, "--crops", 3, "--flips", "--workers", 0]
    code, _, _ = run(capsys, "--engine", project.weights, "--config", project.config, *more, "-o", output)
    assert code == 0
    settings = json.loads(output.read_text())["settings"]
    assert settings == {"sampling": {"kind": "uniform", "span": 64}, "clips": 2, "crops": 3, "flips": True}
    code, out, _ = run(capsys, "--engine", project.weights, "--config", project.config, "--split", "train")
    assert (code, "of 16 clips" in out) == (0, True)


def test_clips_played_backwards(project, capsys):
    """Both ways, order-free figures are at one half; here only the count is looked at."""
    pairs = ["--reversed", "move left=move right", "--reversed", "move right=move left"]
    code, out, _ = run(capsys, "--engine", project.weights, "--list", project.list, *pairs, "--workers", 0)
    assert (code, "of 24 clips" in out) == (0, True)


def test_shards_and_their_merge(project, tmp_path, capsys):
    common = ["--engine", project.weights, "--list", project.list, "--workers", 0]
    assert run(capsys, *common, "-o", tmp_path / "all.json")[0] == 0
    shards = [tmp_path / f"s{number}.json" for number in (3, 1, 2)]
    for path in shards:
        code, out, _ = run(capsys, *common, "--shard", f"{path.stem[1]}/3", "-o", path)
        assert (code, f"shard {path.stem[1]}/3" in out) == (0, True)
    code, out, _ = run(capsys, "--merge", *shards, "-o", tmp_path / "merged.json")
    assert (code, "of 12 clips" in out) == (0, True)
    for suffix in (".json", ".confusion.png", ".seen.png"):
        assert (tmp_path / f"merged{suffix}").read_bytes() == (tmp_path / f"all{suffix}").read_bytes()
    code, _, err = run(capsys, "--merge", *shards[:2], "-o", tmp_path / "part.json")
    assert (code, "none of 2/3" in err) == (2, True)
    code, _, err = run(capsys, "--merge", *shards, shards[0])
    assert (code, "twice" in err) == (2, True)
    assert not (tmp_path / "part.json").exists()


def test_before_and_after_a_change_of_direction(offline, capsys):
    common = ["--engine", offline.weights, "--list", offline.list, "--workers", 0]
    code, out, err = run(capsys, *common, "--direction", "causal")
    assert (code, out) == (2, "")
    assert "tsm-edge train my.toml --start" in err
    assert "--force-direction" in err
    code, out, _ = run(capsys, *common, "--direction", "causal", "--force-direction")
    assert code == 0
    assert "FORCED: trained as bidirectional" in out


def test_a_video_with_its_truth(project, tmp_path, capsys):
    frames = np.concatenate([toy.frames(number, number % 2) for number in range(8)])
    video = ev.write_video(tmp_path / "in.avi", frames, 10.0)
    rows = [f"in.avi,{n * 0.4},{n * 0.4 + 0.4},{toy.LABELS[n % 2]}" for n in range(8)]
    (tmp_path / "truth.csv").write_text("\n".join(["path,start,end,label", *rows]))
    common = ["--engine", project.weights, "--stream", video, "--truth", tmp_path / "truth.csv"]
    output = tmp_path / "stream.json"
    more = ["--preprocess", "exact", "--fps", 5, "--tolerance", 0.1]
    code, out, _ = run(capsys, *common, *more, "-o", output)
    assert code == 0
    values = json.loads(output.read_text())
    assert (values["frames"], values["figures"]["events"]) == (16, 8)
    assert (values["settings"]["preprocess"], values["settings"]["tolerance"]) == ("exact", 0.1)
    assert f"{values['figures']['right']} of 8 events right" in out
    code, _, err = run(capsys, "--engine", project.weights, "--stream", video)
    assert (code, "--truth" in err) == (2, True)


def test_rendered_clips_and_streams(gestures, tmp_path, capsys):
    output = tmp_path / "clips.json"
    common = ["--engine", gestures, "--seed", 5, "--size", 40]
    code, out, _ = run(capsys, *common, "--synthetic", 12, "--workers", 0, "-o", output)
    assert (code, "synthetic/test, 12 clips, seed 5" in out) == (0, True)
    assert json.loads(output.read_text())["figures"]["clips"] == 12
    code, out, _ = run(capsys, *common, "--synthetic-stream", 12, "-o", tmp_path / "stream.json")
    assert (code, "180 frames, 12.0 s" in out) == (0, True)
    truth = json.loads((tmp_path / "stream.json").read_text())["truth"]
    expected = synthetic.Stream(5, 12, size=(40, 40)).events
    assert expected
    assert [event["label"] for event in truth] == [event.label for event in expected]


def test_a_terminal_that_knows_ascii_alone(project, tmp_path):
    environment = {"LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONPATH": ".:export", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tsm_edge", "eval", "--engine", project.weights, "--list", project.list]
    done = subprocess.run([*command, "--workers", "0"], env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"move left" in done.stdout.decode("ascii").encode()


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--list", "LIST"], "no --engine"),
        (["--list", "LIST", "--engine", "none.onnx"], "none.onnx"),
        (["--list", "none.txt", "--engine", "WEIGHTS"], "none.txt"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--root", "none"], "correct --root"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--reversed", "move left=up"], "labels of the data"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--clips", "3"], "1 or 2 uniform"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--flips"], "flip_map"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--split", "train"], "--split"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--seed", "0"], "--seed"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--truth", "LIST"], "--truth"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--tolerance", "0"], "--tolerance"),
        (["--list", "LIST", "--engine", "WEIGHTS", "--shard", "1/2"], "add -o"),
        (["--list", "LIST", "--engine", "WEIGHTS", "-o", "report.txt"], ".json"),
        (["--list", "LIST", "--engine", "WEIGHTS", "-o", "none/report.json"], "none"),
        (["--config", "CONFIG", "--engine", "WEIGHTS", "--kind", "frames"], "--kind"),
        (["--config", "CONFIG", "--engine", "WEIGHTS", "--size", "64"], "--size"),
        (["--config", "CONFIG", "--engine", "WEIGHTS", "--split", "validation"], "validation"),
        (["--synthetic", "12", "--engine", "WEIGHTS"], "synthetic gestures"),
        (["--synthetic-stream", "8", "--engine", "WEIGHTS"], "synthetic gestures"),
        (["--stream", "http://localhost:1", "--truth", "LIST", "--engine", "WEIGHTS"], "record it first"),
        (["--stream", "v.avi", "--truth", "LIST", "--engine", "WEIGHTS", "--shard", "1/1"], "--shard"),
        (["--stream", "v.avi", "--truth", "LIST", "--engine", "WEIGHTS", "--seed", "1"], "--seed"),
        (["--merge", "a.json", "--engine", "WEIGHTS"], "--engine"),
        (["--merge", "a.json"], "a.json"),
        (["--merge", "a.json", "-o", "a.json"], "a file of its own"),
    ],
)
def test_refusals(project, tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    known = {"LIST": project.list, "WEIGHTS": project.weights, "CONFIG": project.config}
    output = [] if {"-o", "--shard"} & set(arguments) else ["-o", tmp_path / "out.json"]
    code, out, err = run(capsys, *(known.get(argument, argument) for argument in arguments), *output)
    assert (code, out) == (2, "")
    assert part in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--list", "a", "--config", "b"],
        ["--list", "a", "--shard", "0/2"],
        ["--list", "a", "--shard", "3/2"],
        ["--list", "a", "--shard", "half"],
        ["--list", "a", "--reversed", "sit"],
        ["--list", "a", "--crops", "2"],
        ["--list", "a", "--clips", "0"],
        ["--list", "a", "--direction", "forward"],
        ["--synthetic", "0"],
        ["--synthetic-stream", "3"],
        ["--stream", "a", "--tolerance", "-1"],
        ["--stream", "a", "--tolerance", "nan"],
    ],
)
def test_arguments_that_cannot_be(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["eval", *arguments])
    assert end.value.code == 2
    assert "eval" in capsys.readouterr().err


def test_a_full_disk_leaves_the_report_that_was_there(project, tmp_path, capsys, monkeypatch):
    output = tmp_path / "all.json"
    output.write_text("older")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run(capsys, "--engine", project.weights, "--list", project.list, "--workers", 0, "-o", output)
    assert (code, "No space left" in err and "give another -o, or make room" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["all.json"]
    assert output.read_text() == "older"


def test_the_documentation_names_options_that_exist(capsys):
    with pytest.raises(SystemExit):
        cli.main(["eval", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) | {"--start", "--jsonl"}  # of train and run
    named = set(re.findall(r"--[a-z][a-z-]+", DOCUMENTATION.read_text(encoding="utf-8")))
    assert named <= known
    assert known - named <= {"--help", "--device", "--threads", "--kind", "--workers", "--output"}
