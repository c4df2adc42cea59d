"""The parts of the loop against what can be computed by hand: rates, groups, averages, dropout, losses, recipes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import models, recipe
from tsm_edge_export.training import config, state
from tsm_edge_export.training.config import CHOICES
from tsm_edge_export.training.loss import class_weights, clip_loss, hits
from tsm_edge_export.training.optimiser import Average, HeadDropout, build, groups, rate_at, set_rate, train_mode
from tsm_edge_export.training.train import write_recipe

PLAIN = config.Loss(0.0, (), False, 0.0)


def network(classes=3):
    return models.init_(models.build(ArchSpec("mobilenetv2", 0.25, classes)), 0)


def test_cosine_with_warm_up():
    spec = config.Schedule("cosine", 10, 2.0, ())
    assert rate_at(0, spec, 0.1) == 0
    assert rate_at(1, spec, 0.1) == pytest.approx(0.1 * 0.5 * 0.5 * (1 + math.cos(math.pi * 0.1)))
    assert rate_at(5, spec, 0.1) == pytest.approx(0.05)
    assert rate_at(10, spec, 0.1) == pytest.approx(0)


def test_steps_of_the_published_schedule():
    spec = config.Schedule("step", 120, 0.0, (50.0, 100.0))
    assert [rate_at(epoch, spec, 1.0) for epoch in (0, 49.9, 50, 99, 100)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


@given(st.floats(0, 10), st.floats(0, 9))
def test_a_rate_is_never_negative_nor_above_the_highest(epoch, warmup):
    assert 0 <= rate_at(epoch, config.Schedule("cosine", 10, warmup, ()), 0.3) <= 0.3


def test_the_published_groups():
    net = network()
    by_role = {(g["lr_mult"], g["decay_mult"]): sum(p.numel() for p in g["params"]) for g in groups(net, 5.0)}
    assert by_role.keys() == {(1.0, 1.0), (1.0, 0.0), (5.0, 1.0), (10.0, 0.0)}
    assert by_role[5.0, 1.0] == 1280 * 3
    assert by_role[10.0, 0.0] == 3
    assert sum(by_role.values()) == sum(p.numel() for p in net.parameters())
    optimiser = build(net, config.Optimiser("sgd", 0.1, 5.0, 0.9, 0.01, None))
    set_rate(optimiser, 0.2)
    assert {(g["lr"], g["weight_decay"]) for g in optimiser.param_groups} == {(0.2, 0.01), (0.2, 0), (1, 0.01), (2, 0)}


@pytest.mark.parametrize("mode, learning", [("train", "all"), ("partial", 1), ("frozen", 0)])
def test_frozen_batch_norm(mode, learning):
    net = network()
    train_mode(net, mode)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    count = len(norms) if learning == "all" else learning
    before = [norm.running_mean.clone() for norm in norms]
    net.clip(torch.randn(1, 2, 3, 32, 32), "causal")[0].sum().backward()
    changed = [not torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True)]
    assert changed == [True] * count + [False] * (len(norms) - count)
    assert [norm.weight.grad is not None for norm in norms] == changed
    trained = {id(p) for group in groups(net, 1.0) for p in group["params"]}
    assert sum(id(norm.weight) in trained for norm in norms) == count


@pytest.mark.parametrize("name, frozen", [("mobilenetv2", 1), ("mobilenetv2", 6), ("resnet18", 1), ("resnet18", 3)])
def test_frozen_blocks_and_the_stem_keep_weights_and_statistics(name, frozen):
    net = models.init_(models.build(ArchSpec(name, 0.25 if name == "mobilenetv2" else 1.0, 3)), 0)
    first_learning = net.blocks()[frozen][0] + "."
    names = list(net.state_dict())
    kept = names[: next(i for i, key in enumerate(names) if key.startswith(first_learning))]
    train_mode(net, "train", frozen)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    optimiser = build(net, config.Optimiser("sgd", 0.1, 5.0, 0.0, 0.01, None))
    set_rate(optimiser, 0.1)
    net.clip(torch.randn(2, 2, 3, 32, 32), "causal")[0].square().sum().backward()
    optimiser.step()
    changed = {key for key, tensor in net.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == set(names) - set(kept)


def test_as_many_frozen_blocks_as_the_network_has_are_refused():
    net = network()
    blocks = len(net.blocks())
    for frozen in range(blocks):
        train_mode(net, "train", frozen)
        assert any(p.requires_grad for p in net.features.parameters())
    for frozen in (blocks, blocks + 1, 1000):
        with pytest.raises(InputError, match=r"regular\.frozen"):
            train_mode(net, "train", frozen)


def test_the_average():
    net = network()
    first = net.classifier.weight.detach().clone()
    average = Average(net, 0.9)
    with torch.no_grad():
        net.classifier.weight.add_(1)
    average.update(net, step=0)  # keeps (1 + 0) / (10 + 0)
    assert torch.allclose(average.state["classifier.weight"], first + 0.9)
    average.update(net, step=10_000)  # keeps 0.9
    assert torch.allclose(average.state["classifier.weight"], first + 0.91)  # 0.9 * 0.9 + 0.1 * 1
    net.features[0][1].num_batches_tracked.fill_(5)
    average.update(net, step=0)
    assert average.state["features.0.1.num_batches_tracked"] == 5


def test_dropout_depends_on_the_step_alone_and_only_in_training():
    net = network()
    dropout = HeadDropout(net, 0.5, seed=3, device="cpu")
    seen = []
    net.classifier.register_forward_pre_hook(lambda head, inputs: seen.append(inputs[0].detach().clone()))
    x = torch.randn(4, 1280)
    for step in (0, 1, 0):
        dropout.begin(step)
        net.classifier(x)
    net.eval()
    net.classifier(x)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[3], x)
    dropped = seen[0] == 0
    assert 0.4 < dropped.float().mean() < 0.6
    assert torch.equal(seen[0][~dropped], (2 * x)[~dropped])
    assert not any("drop" in name for name in net.state_dict())


def test_the_loss_is_that_of_the_mean_over_the_clip():
    logits, labels = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 4, 2])
    expected = cross_entropy(logits.mean(1), labels, torch.tensor([1.0, 2, 3, 4, 5]), label_smoothing=0.1)
    weights = torch.tensor([1.0, 2, 3, 4, 5])
    assert torch.equal(clip_loss(logits, labels, PLAIN._replace(label_smoothing=0.1), weights), expected)


def test_the_running_loss_by_hand():
    logits, labels = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 3])
    means = [cross_entropy(logits[:, : t + 1].mean(1), labels) for t in range(3)]
    expected = 0.75 * means[2] + 0.25 * sum(means) / 3
    assert clip_loss(logits, labels, PLAIN._replace(running=0.25)) == pytest.approx(expected.item(), rel=1e-5)


class Labelled:
    def __init__(self, label):
        self.label = label


def test_balanced_weights_make_each_class_count_alike():
    clips = [Labelled(0)] * 6 + [Labelled(1)] * 2
    assert class_weights(PLAIN._replace(balanced=True), clips, 2).tolist() == pytest.approx([8 / 12, 2.0])
    assert class_weights(PLAIN._replace(class_weights=(1.0, 3.0)), clips, 2).tolist() == [1, 3]
    assert class_weights(PLAIN, clips, 2) is None


def test_hits():
    scores = torch.tensor([[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]])
    assert [hits(scores, torch.tensor([1, 2]), most) for most in (1, 2, 5)] == [1, 2, 2]


@pytest.mark.parametrize("labels", [("a", "b"), ('q"uo\\te', "naïve ' #\u00a0]"), ("日本", "😀")])
def test_a_written_recipe_reads_back_as_the_same(tmp_path, labels):
    spec = recipe.load("mobilenetv2_tsm")
    decision = {"window": 3, "threshold": 0.5, "hysteresis": 2, "ignored": list(labels[:1])}
    spec = spec._replace(name="mine", labels=labels, arch=ArchSpec("mobilenetv2", 0.5, 2), decision=decision)
    write_recipe(tmp_path / "recipe.toml", spec)
    assert recipe.load(str(tmp_path / "recipe.toml")) == spec


def test_a_state_reads_back_as_it_was_written(tmp_path):
    tensors = {"model.a": torch.arange(6.0).reshape(2, 3).t(), "optimiser.0.step": torch.tensor(3.0)}
    values = {"epoch": 2, "sums": {"loss": 0.1 + 0.2}, "broken": {"ä": "x"}, "best": None}
    state.write(tmp_path / state.NAME, tensors, values)
    saved, saved_values = state.read(tmp_path / state.NAME)
    assert saved_values == values
    assert torch.equal(saved["model.a"], tensors["model.a"])
    assert state.part(saved, "optimiser").keys() == {"0.step"}


@pytest.mark.parametrize("name", CHOICES["optimiser.name"])
def test_an_optimiser_goes_on_from_its_tensors(name):
    spec = config.Optimiser(name, 0.01, 5.0, 0.9, 0.01, None)

    def step(net, optimiser, seed):
        optimiser.zero_grad()
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 2, 3, 32, 32), np.float32))
        net.clip(x, "causal")[0].square().mean().backward()
        optimiser.step()

    whole = network()
    first = build(whole, spec)
    step(whole, first, 0)
    broken = network()
    broken.load_state_dict(whole.state_dict())
    second = build(broken, spec)
    state.load_optimiser(second, {k: v.clone() for k, v in state.optimiser_tensors(first).items()})
    step(whole, first, 1)
    step(broken, second, 1)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, broken.state_dict()[key]), key
