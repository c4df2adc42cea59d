"""Training configurations: defaults, paths, and every kind of mistake in one."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.heads.classification import parse_decision
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.config import decided, load

PLAIN = 'direction = "causal"\n[data]\nkind = "frames"\ntrain = "a.txt"\ntest = "b.txt"\n'


def written(folder, text):
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_defaults(tmp_path):
    config = load(written(tmp_path, PLAIN))
    assert (config.name, config.direction, config.arch, config.shift) == (
        "mine",
        "causal",
        ("mobilenetv2", 1.0),
        (8, 8),
    )
    assert (config.frame.height, config.frame.short_side, config.augment.scales) == (224, 256, (1.0, 0.875, 0.75, 0.66))
    assert (config.optimiser.name, config.optimiser.rate, config.optimiser.weight_decay) == ("adamw", 0.0005, 0.02)
    assert (config.optimiser.clip_gradient, config.loss.label_smoothing) == (5.0, 0.05)
    assert (config.optimiser.head_rate, config.regular.dropout, config.augment.flip) == (5.0, 0.5, None)


def test_sgd_takes_the_published_values_where_it_states_none(tmp_path):
    published = configs.Optimiser("sgd", 0.001, 5.0, 0.9, 0.0005, 20.0)
    text = PLAIN + '[optimiser]\nname = "sgd"\n'
    assert load(written(tmp_path, text)).optimiser == published
    stated = load(written(tmp_path, text + "rate = 0.02\nclip_gradient = 3.0\n")).optimiser
    assert stated == published._replace(rate=0.02, clip_gradient=3.0)
    assert load(written(tmp_path, PLAIN), {"optimiser": {"name": "sgd"}}).optimiser == published


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 1_000_000))
def test_a_warmup_that_is_not_stated_fits_any_number_of_epochs(tmp_path, epochs):
    config = load(written(tmp_path, PLAIN + f"[schedule]\nepochs = {epochs}\n"))
    assert config.schedule.warmup == pytest.approx(min(1.0, epochs / 10))
    assert load(written(tmp_path, PLAIN), {"schedule": {"epochs": epochs}}).schedule == config.schedule


def test_a_stated_warmup_stays(tmp_path):
    text = PLAIN + "[schedule]\nepochs = 2\nwarmup = 1.5\n"
    assert load(written(tmp_path, text)).schedule.warmup == 1.5


def test_the_name_of_a_recipe_is_no_path(tmp_path):
    named, file = '[start]\nweights = "mobilenetv2_tsm"\n', '[start]\nweights = "./mobilenetv2_tsm"\n'
    assert load(written(tmp_path, PLAIN + named)).start.weights == "mobilenetv2_tsm"
    assert load(written(tmp_path, PLAIN + file)).start.weights == str(tmp_path / "mobilenetv2_tsm")
    changed = load(written(tmp_path, PLAIN), {"start": {"weights": "mobilenetv2_tsm"}})
    assert changed.start.weights == "mobilenetv2_tsm"


def test_the_template_states_the_defaults(tmp_path):
    template = load(Path(configs.__file__).parent.parent / "training_configs" / "template.toml")
    plain = load(written(tmp_path, PLAIN))
    for name in set(template._fields) - {"name", "description", "labels", "data", "decision"}:
        assert getattr(template, name) == getattr(plain, name), name
    assert template.data.synthetic == plain.data.synthetic
    decisions = [parse_decision(config.decision, (), "x") for config in (template, plain)]
    stated = {name for name, value in decisions[1]._asdict().items() if value is not None}  # TOML has no null
    assert decisions[0] == decisions[1] and set(template.decision) == stated


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
    "an unknown crop": (PLAIN + '[augment]\ncrop = "center"\n', "augment.crop"),
    "colours that are lost": (PLAIN + "[augment]\ncolour = 1.0\n", "augment.colour"),
    "random blocks that never learn": (PLAIN + "[regular]\nfrozen = 1\n", "regular.frozen"),
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


NUMBERS = [name for name, value in configs._RANGES.items()] + [
    "shift.n_segment",
    "shift.fold_div",
    "arch.width",
    "frame.height",
    "frame.width",
    "frame.short_side",
    "fps",
]
BEYOND = st.sampled_from([-1, -(2**63), 10**9, 2**63 - 1, 2**63, 2**70, -(2**70), 10**400, -(10**400)]) | st.integers(
    2**31, 2**80
)
HUGE = ("seed", "data.synthetic.seed", "run.save_steps")  # these may be 10**9 or more


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NUMBERS), BEYOND)
def test_a_number_beyond_its_range_is_refused_by_name(tmp_path, name, number):
    if name in HUGE and 0 <= number < 2**63:
        number = -1 - number
    if name.startswith("optimiser.") and 0 <= number < 10**30:
        number = -1 - number
    *sections, key = name.split(".")
    text = 'direction = "causal"\n[data]\nkind = "synthetic"\n'
    if sections and sections != ["data"]:  # which is open already
        text += f"[{'.'.join(sections)}]\n"
    text = f"{text}{key} = {number}\n" if sections else f"{key} = {number}\n{text}"
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text))
    assert key in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("digits", [4000, 6000, 100_000])
def test_a_number_of_thousands_of_digits(tmp_path, digits):
    for text in ("seed = " + "9" * digits, "seed = 0x" + "f" * digits, "batch = [" + "9" * digits + "]"):
        with pytest.raises(InputError) as caught:
            load(written(tmp_path, text + "\n" + PLAIN))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "sizes", [{"height": 4096, "width": 4096, "short_side": 4096}, {"height": 2000, "width": 2000}]
)
def test_frames_that_take_too_much_memory_together(tmp_path, sizes):
    frame = "".join(f"{key} = {value}\n" for key, value in {"short_side": 4096, **sizes}.items())
    with pytest.raises(InputError, match="bytes for a"):
        load(written(tmp_path, "batch = 512\n" + PLAIN + "[shift]\nn_segment = 64\n[frame]\n" + frame))
