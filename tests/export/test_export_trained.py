"""`tsm-edge export` of a training's output folder: recipe, weights, and the decision that its clips choose."""

import json
import os
import shutil

import pytest

from tests.export import trained_folder as trained
from tsm_edge import cli
from tsm_edge.engines import load_manifest
from tsm_edge.errors import InputError
from tsm_edge.heads import open_head
from tsm_edge_export import checkpoints
from tsm_edge_export.exporter import export
from tsm_edge_export.trained import is_folder, trained_folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A training's output folder, with its clips beside it, which no test changes."""
    return trained.make(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def out(kept, tmp_path):
    """A copy of it."""
    shutil.copytree(kept.parent, tmp_path / "copy")
    return tmp_path / "copy" / "out"


def exported(folder, tmp_path, **options):
    """(manifest, lines that were said) of the export of a folder."""
    said = []
    path = export(folder, output=tmp_path / "toy.onnx", say=said.append, **options)
    return load_manifest(path), said


def test_the_command_takes_the_folder_and_names_the_model(out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", os.path.relpath(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    manifest = load_manifest("build/toy.onnx")
    assert said[-1] == "wrote build/toy.onnx and build/toy.json"
    assert manifest.weights.trained and manifest.weights.source == "best.safetensors (safetensors)"
    decision, (shown,) = manifest.decision, [line for line in said if line.startswith("decision: ")]
    assert "mean of {} frames".format(decision["window"]) in shown
    (measured,) = [line for line in said if line.startswith("measured: ")]
    assert f"of {decision['measured']['events']} events right" in measured
    assert "other clips than those that chose it" in measured  # four clips of each label: two and two
    assert open_head(manifest, "toy").decision.measured.held_out


def test_all_figures_of_the_choice_are_kept(out, tmp_path):
    manifest, said = exported(out, tmp_path)
    values = json.loads((out / "decision.json").read_text())
    assert values["decision"] == manifest.decision
    assert (values["kind"], values["clips"]) == ("decision", 8) and values["tried"] > 100
    measured, checked = manifest.decision["measured"], values["checked_on"]
    assert measured["right"] == pytest.approx(checked["right_share"], abs=1e-3)
    assert (measured["events"], measured["held_out"]) == (checked["events"], True)
    assert {row["label"] for row in values["chosen_on"]["per_label"]} == {"move left", "move right"}
    assert said[0].startswith("choosing the decision on streams of 8 clips")


def test_the_same_folder_gives_the_same_model(out, tmp_path):
    first, _ = exported(out, tmp_path)
    second, _ = exported(out, tmp_path)
    assert first.decision == second.decision


def test_few_clips_are_said_to_be_too_good(tmp_path):
    manifest, said = exported(trained.make(tmp_path / "few", clips=2), tmp_path)
    assert "on the clips that chose it, so a little too good" in said[-1]
    assert manifest.decision["measured"]["held_out"] is False


def test_other_weights(out, tmp_path):
    other = tmp_path / "other.safetensors"
    (out / "best.safetensors").rename(other)
    manifest, _ = exported(out, tmp_path, weights=other)
    assert manifest.weights.source.startswith("other.safetensors") and "measured" in manifest.decision


@pytest.mark.parametrize("stated", ["window = 3", "threshold = 0.25", "hysteresis = 2", "energy = -3.0"])
def test_a_stated_decision_stays(tmp_path, stated):
    folder = trained.make(tmp_path / "stated", decision=stated)
    manifest, said = exported(folder, tmp_path)
    name, value = stated.split(" = ")
    assert manifest.decision[name] == float(value) and "measured" not in manifest.decision
    assert len(said) == 1 and f"(the recipe states {name}" in said[0]
    assert not (folder / "decision.json").exists()


def test_ignored_labels_are_no_decision(tmp_path):
    folder = trained.make(tmp_path / "ignored", decision='ignored = ["move right"]')
    manifest, _ = exported(folder, tmp_path)
    assert manifest.decision["ignored"] == ["move right"] and "measured" in manifest.decision


def remove(*names):
    def change(out):
        for name in names:
            path = out.parent / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def damage(out):
    for path in (out.parent / "data").rglob("*.avi"):
        path.write_bytes(path.read_bytes()[:3000])


def one_each(out):
    path = out / "validation.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[-1]]) + "\n")


@pytest.mark.parametrize(
    "change, reason",
    [
        (remove("data"), "data"),
        (remove("out/config.toml"), "config.toml: no such file"),
        (remove("out/validation.csv"), "validation.csv"),
        (damage, "broken"),
        (one_each, "too few clips: 1 of 'move left'"),
        (lambda out: (out / "config.toml").write_text("direction = 3\n"), "config.toml"),
    ],
    ids=["no clips", "no configuration", "no list", "damaged clips", "one clip each", "another configuration"],
)
def test_without_clips_the_recipes_decision_stays_and_the_reason_is_said(out, tmp_path, change, reason):
    change(out)
    manifest, said = exported(out, tmp_path)
    assert manifest.decision == {"ignored": []} or manifest.decision == {}
    assert "(the recipe's; none was chosen." in said[-1] and reason in said[-1], said
    assert not (out / "decision.json").exists()


def test_a_model_without_a_rate_has_no_streams(tmp_path):
    _, said = exported(trained.make(tmp_path / "rate", fps=None), tmp_path)
    assert "fps: none" in said[-1]


def test_an_offline_model_has_no_decision_to_choose(out, tmp_path):
    checkpoint = checkpoints.load(out / "best.safetensors", *arch_of(out))
    assert checkpoint.direction == "causal"
    recipe = out / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('mode = "online"', 'mode = "offline"'))
    manifest, said = exported(out, tmp_path)
    assert manifest.mode == "offline" and said == []


def arch_of(out):
    from tsm_edge_export import recipe

    spec = recipe.load(str(out / "recipe.toml"))
    return spec.arch, False, 0, spec.shift.fold_div


def test_a_failed_proof_writes_nothing(out, tmp_path, monkeypatch):
    (out / "best.safetensors").write_bytes(b"")
    with pytest.raises(InputError):
        exported(out, tmp_path)
    assert not (tmp_path / "toy.onnx").exists() and not (out / "decision.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_takes_no_file_is_named(out, tmp_path):
    out.chmod(0o500)
    try:
        manifest, said = exported(out, tmp_path)
    finally:
        out.chmod(0o700)
    assert "measured" in manifest.decision and "not written" in said[-1]


def test_a_place_that_takes_no_file_is_named(out, tmp_path):
    (out / "decision.json").mkdir()
    manifest, said = exported(out, tmp_path)
    assert "measured" in manifest.decision and "decision.json: not written" in said[-1]


# ---------------------------------------------------------------- other folders


def test_a_data_folder_is_trained_first(kept, tmp_path, capsys):
    assert cli.main(["export", str(kept.parent / "data"), "-o", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr().err
    assert "a data folder" in said and "tsm-edge train" in said and not list(tmp_path.iterdir())


def test_folders_of_pictures_are_a_data_folder_too(tmp_path):
    (tmp_path / "wave" / "s_01").mkdir(parents=True)
    with pytest.raises(InputError, match="a data folder"):
        trained_folder(tmp_path)


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["best.safetensors"]])
def test_a_folder_without_a_recipe(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=r"no recipe\.toml in this folder"):
        trained_folder(tmp_path)


def test_a_training_that_has_no_weights_yet(out):
    (out / "best.safetensors").unlink()
    with pytest.raises(InputError, match=r"without best\.safetensors.*\n.*\n.*--resume"):
        trained_folder(out)


def test_the_name_of_a_recipe_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mobilenetv2_tsm").mkdir()
    assert not is_folder("mobilenetv2_tsm") and is_folder("./mobilenetv2_tsm")


# ---------------------------------------------------------------- eval


def evaluated(capsys, *arguments):
    code = cli.main(["eval", *(str(argument) for argument in arguments)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def test_eval_takes_the_folder_as_a_model(out, capsys):
    code, said, _ = evaluated(capsys, "--engine", out, "--config", out / "config.toml", "--workers", 0)
    assert code == 0 and "of 8 clips" in said and "toy (torch, online, causal)" in said


def test_eval_of_the_export_on_a_stream_of_the_clips(out, tmp_path, capsys):
    manifest, _ = exported(out, tmp_path)
    report = tmp_path / "stream.json"
    model = tmp_path / "toy.onnx"
    code, said, error = evaluated(capsys, "--engine", model, "--clip-stream", out, "-o", report)
    assert code == 0, error
    assert "false events" in said and "delay from an event's end" in said
    values = json.loads(report.read_text())
    assert values["figures"]["events"] == 24 and values["settings"]["fps"] == trained.FPS
    assert values["settings"]["decision"] == {k: v for k, v in manifest.decision.items() if k != "measured"}
    named = evaluated(capsys, "--engine", model, "--clip-stream", out / "config.toml")
    assert named[1] == said
    other = evaluated(capsys, "--engine", model, "--clip-stream", out, "--seed", 1)
    assert other[0] == 0 and other[1] != said


@pytest.mark.parametrize(
    "more, part",
    [
        (["--truth", "t.csv"], "--truth"),
        (["--size", "64"], "--size"),
        (["--clips", "2"], "--clips"),
        (["-o", "{out}/config.toml"], "-o"),
    ],
)
def test_eval_refuses_what_does_not_belong(kept, capsys, more, part):
    more = [text.format(out=kept) for text in more]
    code, _, error = evaluated(capsys, "--engine", kept, "--clip-stream", kept, *more)
    assert code == 2 and part in error


def test_eval_of_a_folder_that_is_none(tmp_path, kept, capsys):
    code, _, error = evaluated(capsys, "--engine", kept, "--clip-stream", tmp_path)
    assert code == 2 and "no recipe.toml" in error
    code, _, error = evaluated(capsys, "--engine", tmp_path, "--clip-stream", kept)
    assert code == 2 and "no recipe.toml" in error
