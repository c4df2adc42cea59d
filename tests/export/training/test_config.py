"""Training configurations: defaults, paths, and every kind of mistake in one."""

from pathlib import Path

import pytest

from tsm_edge.errors import InputError
from tsm_edge.heads.classification import parse_decision
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.config import decided, load

PLAIN = 'direction = "causal"\n[data]\nkind = "frames"\ntrain = "a.txt"\ntest = "b.txt"\n'


def written(folder, text):
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_defaults_are_the_published_ones(tmp_path):
    config = load(written(tmp_path, PLAIN))
    assert (config.name, config.direction, config.arch, config.shift) == (
        "mine",
        "causal",
        ("mobilenetv2", 1.0),
        (8, 8),
    )
    assert (config.frame.height, config.frame.short_side, config.augment.scales) == (224, 256, (1.0, 0.875, 0.75, 0.66))
    assert (config.optimiser.name, config.optimiser.momentum, config.optimiser.weight_decay) == ("sgd", 0.9, 0.0005)
    assert (config.optimiser.head_rate, config.regular.dropout, config.augment.flip) == (5.0, 0.5, None)


def test_the_template_states_the_defaults(tmp_path):
    template = load(Path(configs.__file__).parent.parent / "training_configs" / "template.toml")
    plain = load(written(tmp_path, PLAIN))
    for name in set(template._fields) - {"name", "description", "labels", "data", "decision"}:
        assert getattr(template, name) == getattr(plain, name), name
    assert template.data.synthetic == plain.data.synthetic
    decisions = [parse_decision(config.decision, (), "x") for config in (template, plain)]
    assert decisions[0] == decisions[1] and set(template.decision) == set(decisions[0]._fields)


def test_paths_start_from_the_file_and_changes_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    path = written(tmp_path / "sub", PLAIN + '[start]\nweights = "w.pth"\n')
    config = load(Path("sub") / "mine.toml")
    assert config.data.train == str(tmp_path / "sub" / "a.txt")
    assert config.data.root == str(tmp_path / "sub")
    assert config.start.weights == str(tmp_path / "sub" / "w.pth")
    assert load(path) == config  # named by another path, the same training
    changed = load(path, {"start": {"weights": "other.pth"}, "direction": "none"})
    assert changed.start.weights == str(tmp_path / "other.pth")
    assert changed.direction == "none"
    assert changed.data == config.data


def test_what_changes_no_result_may_change_between_runs(tmp_path):
    path = written(tmp_path, PLAIN)
    assert decided(load(path)) == decided(load(path, {"run": {"workers": 7, "output": "x", "save_steps": 3}}))
    assert decided(load(path)) != decided(load(path, {"seed": 1}))


MISTAKES = {
    "damaged TOML": (PLAIN + "[arch\n", "damaged TOML"),
    "no TOML at all": (b"\xff\xfe\x00", "damaged TOML"),
    "no direction": (PLAIN.replace("direction", "seed = 3 #"), "no direction"),
    "no data": ('direction = "none"\n', "kind"),
    "an unknown key": ("epochs = 3\n" + PLAIN, "unknown key epochs"),
    "an unknown key in a section": (PLAIN + "[schedule]\nepoch = 3\n", "unknown key epoch"),
    "another type": (PLAIN + '[schedule]\nepochs = "3"\n', "a whole number"),
    "an unknown direction": (PLAIN.replace("causal", "online"), "direction"),
    "an unknown kind": (PLAIN.replace("frames", "frame"), "data.kind"),
    "an unknown optimiser": (PLAIN + '[optimiser]\nname = "adam"\n', "optimiser.name"),
    "no epochs": (PLAIN + "[schedule]\nepochs = 0\n", "schedule.epochs"),
    "warm-up beyond the end": (PLAIN + "[schedule]\nepochs = 2\nwarmup = 2\n", "schedule.warmup"),
    "steps for cosine": (PLAIN + "[schedule]\nsteps = [3]\n", "schedule.steps"),
    "no steps": (PLAIN + '[schedule]\nkind = "step"\n', "schedule.steps"),
    "steps out of order": (PLAIN + '[schedule]\nkind = "step"\nsteps = [4, 2]\n', "schedule.steps"),
    "no batch": ("batch = 0\n" + PLAIN, "batch"),
    "a rate of nothing": (PLAIN + "[optimiser]\nrate = 0\n", "optimiser.rate"),
    "no finite rate": (PLAIN + "[optimiser]\nrate = inf\n", "finite"),
    "dropout of all": (PLAIN + "[regular]\ndropout = 1\n", "regular.dropout"),
    "an average that never moves": (PLAIN + "[regular]\nema = 1.0\n", "regular.ema"),
    "smoothing below nothing": (PLAIN + "[loss]\nlabel_smoothing = -0.1\n", "loss.label_smoothing"),
    "two class weightings": (PLAIN + "[loss]\nbalanced = true\nclass_weights = [1.0]\n", "balanced"),
    "a weightless class": (PLAIN + "[loss]\nclass_weights = [1, 0]\n", "loss.class_weights"),
    "running loss of a TSN": (PLAIN.replace("causal", "none") + "[loss]\nrunning = 0.5\n", "loss.running"),
    "clipping to nothing": (PLAIN + "[optimiser]\nclip_gradient = 0\n", "optimiser.clip_gradient"),
    "a frame too small": (PLAIN + "[frame]\nheight = 16\n", "frame"),
    "a crop beyond the frame": (PLAIN + "[frame]\nshort_side = 200\n", "frame.short_side"),
    "no deviation": (PLAIN + "[frame]\nstd = [1, 1, 0]\n", "frame.std"),
    "no colours": (PLAIN + '[frame]\ncolour = "YUV"\n', "frame.colour"),
    "no scales": (PLAIN + "[augment]\nscales = []\n", "augment.scales"),
    "a scale beyond the frame": (PLAIN + "[augment]\nscales = [1.1]\n", "augment.scales"),
    "more dense frames than the span": (
        PLAIN + '[shift]\nn_segment = 65\n[sampling]\nkind = "dense"\n',
        "shift.n_segment",
    ),
    "no list": (PLAIN.replace("train", "# train"), "data.train"),
    "a list for synthetic clips": (PLAIN.replace('"frames"', '"synthetic"'), "data.train"),
    "a template without a number": (PLAIN + 'template = "img.jpg"\n', "data.template"),
    "a template with two": (PLAIN + 'template = "{:05d}{:05d}.jpg"\n', "data.template"),
    "a template with attributes": (PLAIN + 'template = "{0.__class__}{:05d}"\n', "data.template"),
    "labels from two places": ('labels = ["a"]\n' + PLAIN + 'labels_file = "c.txt"\n', "labels"),
    "a label twice": ('labels = ["a", "a"]\n' + PLAIN, "a label twice"),
    "negative workers": (PLAIN + "[run]\nworkers = -1\n", "run.workers"),
}


@pytest.mark.parametrize("text, word", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_refused_by_name(tmp_path, text, word):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load(path)
    assert word in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        load(tmp_path / "none.toml")
