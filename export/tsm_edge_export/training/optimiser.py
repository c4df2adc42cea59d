"""What turns gradients into weights: parameter groups, learning rates, averaged weights, frozen BatchNorm.

Sources: get_optim_policies and train in ops/models.py, main.py of mit-han-lab/temporal-shift-module.
"""

import math
from typing import Any

import torch
from torch import nn

from tsm_edge.errors import InputError
from tsm_edge_export.models.network import Block

from .config import Optimiser, Schedule


def groups(network: nn.Module, head_rate: float) -> list[dict[str, Any]]:
    """Return the published parameter groups, with `lr_mult` and `decay_mult`, of all parameters with a gradient.

    Convolutions: rate 1, decay 1. BatchNorm: rate 1, no decay. Heads, which are the linear layers and the convolutions
    with a bias: the weight learns at `head_rate` times the rate, the bias at twice that without decay (published: 5 and
    10).
    """
    kinds = ((nn.Conv2d, nn.ConvTranspose2d), nn.BatchNorm2d, nn.Linear)
    convolutions, norms, heads = ([m for m in network.modules() if isinstance(m, kind)] for kind in kinds)
    heads += [m for m in convolutions if m.bias is not None]
    convolutions = [m for m in convolutions if m.bias is None]
    rows = (
        ([m.weight for m in convolutions], 1.0, 1.0),
        ([p for m in norms for p in (m.weight, m.bias)], 1.0, 0.0),
        ([m.weight for m in heads], head_rate, 1.0),
        ([m.bias for m in heads], 2 * head_rate, 0.0),
    )
    made = [
        {"params": [p for p in parameters if p is not None and p.requires_grad], "lr_mult": rate, "decay_mult": decay}
        for parameters, rate, decay in rows
    ]
    return [group for group in made if group["params"]]


def build(network: nn.Module, spec: Optimiser) -> torch.optim.Optimizer:
    """Return the torch optimiser over `groups` that a configuration asks for."""
    parameters = groups(network, spec.head_rate)
    for group in parameters:
        group["weight_decay"] = spec.weight_decay * group["decay_mult"]
    if spec.name == "adamw":
        return torch.optim.AdamW(parameters, spec.rate)
    return torch.optim.SGD(parameters, spec.rate, momentum=spec.momentum)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its share of the learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_mult"]


def rate_at(epoch: float, spec: Schedule, rate: float) -> float:
    """Return the learning rate after `epoch` epochs; `rate` is the highest one.

    It rises in a straight line over spec.warmup epochs. The schedule runs meanwhile, so that cosine is the published
    0.5 * rate * (1 + cos(pi * epoch / epochs)) afterwards.
    """
    if spec.kind == "cosine":
        decay = 0.5 * (1 + math.cos(math.pi * min(epoch / spec.epochs, 1.0)))
    else:
        decay = 0.1 ** sum(epoch >= step for step in spec.steps)
    return rate * decay * (min(epoch / spec.warmup, 1.0) if spec.warmup else 1.0)


class Average:
    """The exponential moving average of a network's `state`: weights and BatchNorm statistics by name.

    The decay of step t is min(decay, (1 + t) / (10 + t)), as in TensorFlow: early averages are not those of the start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.state = decay, {name: t.detach().clone() for name, t in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the network after step `step` (0, 1, …)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - keep)
            else:
                self.state[name].copy_(tensor)


def train_mode(network: nn.Module, batch_norm: str, frozen: int = 0) -> None:
    """Set training mode.

    Args:
        network: a network with trainable parameters, changed in place.
        batch_norm: "partial" and "frozen" (see config.Regular) stop statistics, scale and shift of BatchNorm.
            "statistics" stops the statistics alone.
        frozen: the stem and this many blocks keep weights and BatchNorm statistics; 0: nothing is frozen. Backward
            passes end there, which saves time.

    Raises:
        InputError: the network has fewer blocks.
    """
    network.train()
    for module in _first_blocks(network, frozen):
        module.eval()
        module.requires_grad_(False)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms[{"train": len(norms), "partial": 1, "frozen": 0, "statistics": 0}[batch_norm] :]:
        norm.eval()
        if batch_norm != "statistics":
            norm.requires_grad_(False)


def _first_blocks(network: nn.Module, frozen: int) -> list[nn.Module]:
    """Return the modules of the stem and of the first `frozen` blocks, those that hold no block themselves."""
    if not frozen:
        return []
    found: list[nn.Module] = []
    blocks = 0
    for module in network.modules():
        blocks += isinstance(module, Block)
        if blocks > frozen:
            return found
        if not any(isinstance(part, Block) for part in module.modules()):
            found.append(module)
    got, expected = f"{frozen} frozen blocks", f"fewer than the network's {blocks}"
    raise InputError("regular.frozen", got, expected, "lower regular.frozen")


def head_of(network: nn.Module) -> nn.Linear:
    """Return a network's classifier."""
    return next(module for module in network.modules() if isinstance(module, nn.Linear))


class HeadDropout:
    """Dropout on the input of the classifier. It is a hook on the network and no layer, so nothing of it is saved."""

    def __init__(self, network: nn.Module, share: float, seed: int, device: torch.device | str) -> None:
        self._network, self._share, self._seed = network, share, seed
        self._generator = torch.Generator(device)
        if share:
            head_of(network).register_forward_pre_hook(self._drop)

    def begin(self, step: int) -> None:
        """Prepare the forward pass of a step. What is dropped depends on (seed, step) alone, also after a resume."""
        self._generator.manual_seed((self._seed << 32) + step)

    def _drop(self, _head: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        (x,) = inputs
        if not self._network.training:
            return None
        kept = torch.rand(x.shape, generator=self._generator, device=x.device) >= self._share
        return (x * kept / (1 - self._share),)
