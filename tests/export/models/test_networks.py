"""Every network: the causal clip is the stream, first of all; then names, places, sizes, the other forms, fusion."""

import functools
import json
import os
import resource

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.tolerances import LOGITS
from tsm_edge import shift as reference
from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import models
from tsm_edge_export.models.mobilenetv2 import make_divisible

T = 3


@pytest.fixture(autouse=True)
def one_thread():
    """These pictures are tiny: on a busy machine, more threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.lru_cache(maxsize=2)
def network(name="mobilenetv2", width=1.0, classes=5, fold_div=8, seed=0):
    """In eval mode, with BatchNorm statistics that are not the identity."""
    net = models.init_(models.build(ArchSpec(name, width, classes), fold_div), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -0.1, 0.1), (module.running_var, 0.7, 1.4)):
                tensor.uniform_(low, high, generator=generator)
            module.bias.detach().uniform_(-0.1, 0.1, generator=generator)
    return net


def clip_of(n, t, size, seed=1):
    return torch.randn((n, t, 3, *size), generator=torch.Generator().manual_seed(seed))


def seen_by_shifts(net, run):
    """What entered the shifted blocks while `run` ran: {place: [input, …]}."""
    inputs = {}
    handles = [
        block.register_forward_pre_hook(lambda m, a, p=f"{name}.{block.shifted}": inputs.setdefault(p, []).append(a[0]))
        for name, block in net.blocks()
        if block.fold
    ]
    try:
        result = run()
    finally:
        for handle in handles:
            handle.remove()
    return result, inputs


NAMES = [entry.key for entry in models.ARCHITECTURES]
CASES = [(name, 1.0, 8, (33, 47), 1) for name in NAMES] + [
    ("mobilenetv2", 1.0, 8, (64, 64), 3),
    ("resnet50", 1.0, 8, (32, 40), 3),
    ("mobilenetv2", 0.35, 5, (33, 47), 3),  # no shifted layer's channels divide by 5
    ("mobilenetv2", 1.4, 7, (40, 33), 1),
    ("resnet18", 1.0, 7, (31, 45), 3),
]


@pytest.mark.parametrize(("name", "width", "fold_div", "size", "streams"), CASES)
@torch.no_grad()
def test_causal_clip_is_the_stream(name, width, fold_div, size, streams):
    net = network(name, width, fold_div=fold_div)
    x = clip_of(streams, 2 * T, size)
    (whole,), entered = seen_by_shifts(net, lambda: net.clip(x, "causal"))
    caches, first = net.zero_caches(streams, *size), None
    for t in range(2 * T):
        first = caches[0] if t == 1 else first
        ((logits,), caches), seen = seen_by_shifts(net, lambda t=t, c=caches: net.step(x[:, t], c, "standard"))
        torch.testing.assert_close(logits, whole[:, t], rtol=0, atol=LOGITS["float32"])
        for place, cache, shape in zip(net.places, caches, net.cache_shapes(*size), strict=True):
            assert cache.shape == (streams, *shape)
            assert torch.equal(cache, seen[place][0][:, : shape[0]])  # a copy of the unshifted input, bit for bit
            clip = entered[place][0].unflatten(0, (streams, 2 * T))[:, t, : shape[0]]
            torch.testing.assert_close(cache, clip, rtol=0, atol=LOGITS["float32"])
    assert first is not None and first.abs().max() > 0
    assert (whole - net.clip(x, "none")[0]).abs().max() > 100 * LOGITS["float32"]  # the shift does matter


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_lowerings_agree_exactly(name):
    net = network(name)
    x = clip_of(2, T, (33, 47))
    for direction in ("causal", "bidirectional"):
        assert torch.equal(*(net.clip(x, direction, lowering)[0] for lowering in ("custom", "standard")))
    caches = [torch.randn_like(cache) for cache in net.zero_caches(2, 33, 47)]
    custom, standard = (net.step(x[:, 0], caches, lowering) for lowering in ("custom", "standard"))
    for of_custom, of_standard in zip(custom, standard, strict=True):  # the outputs, then the caches
        assert all(torch.equal(a, b) for a, b in zip(of_custom, of_standard, strict=True))


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_clip_is_the_2d_network_with_shifts_hooked_in(name, direction):
    """Independent of our contexts: the NumPy op before the modules that `places` names, as published TSM wraps them."""
    net = network(name)
    x = clip_of(2, T, (33, 47))
    both = direction == "bidirectional"

    def shifted(module, arguments):
        array = arguments[0].numpy()
        return (torch.from_numpy(reference.shift_clip(array, T, array.shape[1] // 8, both)),)

    handles = [net.get_submodule(place).register_forward_pre_hook(shifted) for place in net.places]
    expected = net.frame(x.flatten(0, 1))[0].unflatten(0, (2, T))
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(net.clip(x, direction)[0], expected, rtol=0, atol=LOGITS["float32"])
    assert torch.equal(net.clip(x, "none")[0].flatten(0, 1), net.frame(x.flatten(0, 1))[0])


def test_mobilenetv2_is_the_published_online_network(data):
    with open(os.path.join(data, "..", "reference", "jester_online_keys_shapes.json")) as file:
        published = {name: tuple(shape) for name, (shape, _) in json.load(file).items()}
    net = models.build(ArchSpec("mobilenetv2", 1.0, 27))
    ours = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert len(ours) == 314
    assert ours == published
    assert net.places == tuple(f"features.{i}.conv.0" for i in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16))
    shapes = net.cache_shapes(224, 224)
    assert shapes == [(3, 56, 56)] + [(4, 28, 28)] * 2 + [(8, 14, 14)] * 3 + [(12, 14, 14)] * 2 + [(20, 7, 7)] * 2
    assert sum(int(np.prod(shape)) for shape in shapes) == 27_048


@pytest.mark.parametrize(("name", "shifts"), [("resnet18", 8), ("resnet34", 16), ("resnet50", 16), ("resnet101", 18)])
def test_resnet_places(name, shifts):
    net = models.build(ArchSpec(name, 1.0, 3))
    assert len(net.places) == len(net.cache_shapes(224, 224)) == shifts
    assert net.places[:2] == ("layer1.0.conv1", "layer1.2.conv1" if name == "resnet101" else "layer1.1.conv1")
    numbers = [int(place.split(".")[1]) for place in net.places]
    assert name != "resnet101" or not any(number % 2 for number in numbers)


def test_resnet50_cache_and_names():
    net = models.build(ArchSpec("resnet50", 1.0, 174))
    assert sum(int(np.prod(shape)) for shape in net.cache_shapes(224, 224)) == 702_464
    state = net.state_dict()
    assert len(state) == 320  # torchvision's resnet50
    assert state["layer2.0.downsample.0.weight"].shape == (512, 256, 1, 1)
    assert state["layer4.2.bn3.running_var"].shape == (2048,)
    assert state["fc.weight"].shape == (174, 2048)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["mobilenetv2", "resnet18"]), st.integers(1, 70), st.integers(1, 70), st.integers(2, 8))
@torch.no_grad()
def test_cache_shapes_at_any_size(name, height, width, fold_div):
    with torch.device("meta"):  # shapes alone: nothing is computed
        net = models.build(ArchSpec(name, 0.25 if name == "mobilenetv2" else 1.0, 2), fold_div).eval()
        _, inputs = seen_by_shifts(net, lambda: net.frame(torch.zeros(1, 3, height, width)))
    expected = [(x[0].shape[1] // fold_div, *x[0].shape[2:]) for x in (inputs[place] for place in net.places)]
    assert net.cache_shapes(height, width) == expected


@pytest.mark.parametrize(("width", "last", "fourth"), [(0.35, 1280, 24), (1.0, 1280, 64), (1.4, 1792, 96)])
def test_width_multiplier(width, last, fourth):
    net = models.build(ArchSpec("mobilenetv2", width, 2))
    assert net.features[0][0].out_channels == 32  # whatever the width
    assert net.features[1].conv[3].out_channels == 16
    assert net.features[8].conv[0].in_channels == fourth
    assert net.classifier.in_features == last
    assert make_divisible(33.6) == 40


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_fused_is_unfused(name):
    net = network(name)
    net.train()
    fused = models.fuse(net)
    assert net.training and not fused.training
    net.eval()
    x = clip_of(2, T, (33, 47))
    for direction in ("none", "causal", "bidirectional"):
        (got,), (expected,) = (each.clip(x, direction) for each in (fused, net))
        torch.testing.assert_close(got, expected, rtol=0, atol=LOGITS["float32"])
    assert fused.places == net.places
    names = set(fused.state_dict())
    assert not [name for name in names if "running" in name or "tracked" in name]
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    assert names - set(net.state_dict()) <= {f"{n}.bias" for n, m in net.named_modules() if isinstance(m, kinds)}
    empty = models.build_fused(net.arch, net.fold_div)
    empty.load_state_dict(models.fuse(fused).state_dict(), strict=True)
    assert torch.equal(empty.frame(x[:, 0])[0], fused.frame(x[:, 0])[0])


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_init_is_seeded_and_pictures_matter(name, data):
    cv2 = pytest.importorskip("cv2")
    frames = []
    for clip in ("mmaction2_demo.mp4", "decord_flipping_a_pancake.mkv"):
        capture = cv2.VideoCapture(os.path.join(data, "clips", clip))
        frames += [cv2.resize(capture.read()[1], (96, 96)) for _ in range(2)]
    x = (torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.22
    built = [models.build(ArchSpec(name, 1.0, 27)).eval() for _ in range(3)]
    before = torch.random.get_rng_state()
    a, b, other = (models.init_(net, seed) for net, seed in zip(built, (3, 3, 4), strict=True))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a.state_dict()[key], b.state_dict()[key]) for key in a.state_dict())
    (logits,) = a.frame(x)
    assert torch.isfinite(logits).all() and logits.abs().max() < 100
    assert logits.flatten(1).std(1).min() > 0.1  # over classes, and over the cells of a grid
    assert (logits[0] - logits[2]).abs().max() > 0.05  # between two videos
    assert not torch.equal(logits, other.frame(x)[0])


def test_training_reaches_every_parameter():
    net = models.init_(models.build(ArchSpec("mobilenetv2", 0.25, 3)), 0)
    net.clip(clip_of(2, T, (40, 40)), "causal")[0].mean(1).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("arch", "fold_div", "named"),
    [
        (ArchSpec("resnet152", 1.0, 5), 8, "mobilenetv2, resnet18"),
        (ArchSpec("resnet50", 0.5, 5), 8, "width"),
        (ArchSpec("mobilenetv2", 0.0, 5), 8, "width"),
        (ArchSpec("mobilenetv2", float("nan"), 5), 8, "width"),
        (ArchSpec("mobilenetv2", 1.0, 0), 8, "num_classes"),
        (ArchSpec("mobilenetv2", 1.0, 5), 0, "fold_div"),
        (ArchSpec("mobilenetv2", 1.0, 5), 25, "at most 24"),
    ],
)
def test_impossible_networks(arch, fold_div, named):
    with pytest.raises(InputError, match=named):
        models.build(arch, fold_div)


def test_impossible_calls():
    net = network(width=0.25)
    frame = torch.zeros(1, 3, 32, 32)
    with pytest.raises(ValueError, match="caches: got 1"):
        net.step(frame, net.zero_caches(1, 32, 32)[:1])
    with pytest.raises(ValueError, match="cache: got shape"):
        net.step(frame, net.zero_caches(2, 32, 32))
    with pytest.raises(ValueError, match="direction"):
        net.clip(frame[None], "online")
    with pytest.raises(ValueError, match="five axes"):
        net.clip(frame, "causal")
    with pytest.raises(ValueError, match="fused"):
        models.init_(models.fuse(net), 0)


@pytest.mark.parametrize("kind", ["width", "num_classes"])
def test_a_network_beyond_the_limit_is_refused_before_it_takes_memory(kind):
    arch = ArchSpec("mobilenetv2", 1.0, 32768)._replace(**({"width": 4.0} if kind == "width" else {}))
    for size in (arch, ArchSpec("mobilenetv2", 60.0, 3), ArchSpec("mobilenetv2", 1.0, 10**12)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="arch"):
            patch.setattr(models, "MAX_PARAMETERS", 30_000_000)
            models.build(size)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
