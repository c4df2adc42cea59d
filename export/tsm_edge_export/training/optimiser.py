"""What turns gradients into weights: parameter groups, learning rates, averaged weights, frozen BatchNorm.

Sources: TSN.get_optim_policies and TSN.train in ops/models.py, adjust_learning_rate in main.py of
mit-han-lab/temporal-shift-module.
"""

import math

import torch
from torch import nn


def groups(network, head_rate):
    """The published parameter groups, each with `lr_mult` and `decay_mult`; parameters without gradient are left out.

    Convolutions: rate 1, decay 1. BatchNorm: rate 1, no decay. Classifier: its weight `head_rate` times the rate, its
    bias twice that without decay (published: 5 and 10).
    """
    convolutions, norms, weights, biases = [], [], [], []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            convolutions.append(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            norms.extend((module.weight, module.bias))
        elif isinstance(module, nn.Linear):
            weights.append(module.weight)
            biases.append(module.bias)
    rows = ((convolutions, 1.0, 1.0), (norms, 1.0, 0.0), (weights, head_rate, 1.0), (biases, 2 * head_rate, 0.0))
    made = [
        {"params": [p for p in parameters if p.requires_grad], "lr_mult": rate, "decay_mult": decay}
        for parameters, rate, decay in rows
    ]
    return [group for group in made if group["params"]]


def build(network, spec):
    """The torch optimiser of an `Optimiser` section, over `groups`."""
    parameters = groups(network, spec.head_rate)
    for group in parameters:
        group["weight_decay"] = spec.weight_decay * group["decay_mult"]
    if spec.name == "adamw":
        return torch.optim.AdamW(parameters, spec.rate)
    return torch.optim.SGD(parameters, spec.rate, momentum=spec.momentum)


def set_rate(optimiser, rate):
    """Give each group its share of the learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_mult"]


def rate_at(epoch, spec, rate):
    """The learning rate at a moment. epoch: float, epochs done. spec: a `Schedule`. rate: the highest one.

    It rises in a straight line over spec.warmup epochs; meanwhile the schedule itself already runs, so that cosine is
    the published 0.5 * rate * (1 + cos(pi * epoch / epochs)) afterwards.
    """
    if spec.kind == "cosine":
        decay = 0.5 * (1 + math.cos(math.pi * min(epoch / spec.epochs, 1.0)))
    else:
        decay = 0.1 ** sum(epoch >= step for step in spec.steps)
    return rate * decay * (min(epoch / spec.warmup, 1.0) if spec.warmup else 1.0)


class Average:
    """The exponential moving average of a network's state: weights and BatchNorm statistics.

    state: name -> tensor. The decay of step t is min(decay, (1 + t) / (10 + t)), so that early averages are not those
    of the start (Tensorflow's ExponentialMovingAverage).
    """

    def __init__(self, network, decay):
        self.decay, self.state = decay, {name: t.detach().clone() for name, t in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network, step):
        """Take in the network after step `step` (0, 1, …)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - keep)
            else:
                self.state[name].copy_(tensor)


def train_mode(network, batch_norm):
    """Set training mode with BatchNorm as the configuration has it.

    batch_norm: "train"; "partial": all but the first keep statistics, scale and shift, as published; "frozen": all do.
    """
    network.train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms[{"train": len(norms), "partial": 1, "frozen": 0}[batch_norm] :]:
        norm.eval()
        norm.requires_grad_(False)


class HeadDropout:
    """Dropout on the input of the classifier, a hook on the network: no layer, so nothing of it is saved.

    begin(step) makes what is dropped a function of (seed, step) alone, and so the same after a resume.
    """

    def __init__(self, network, share, seed, device):
        self._share, self._seed = share, seed
        self._generator = torch.Generator(device)
        self._training = lambda: network.training
        if share:
            head = next(module for module in network.modules() if isinstance(module, nn.Linear))
            head.register_forward_pre_hook(self._drop)

    def begin(self, step):
        """To be called before the forward pass of step `step`."""
        self._generator.manual_seed((self._seed << 32) + step)

    def _drop(self, head, inputs):
        (x,) = inputs
        if not self._training():
            return None
        kept = torch.rand(x.shape, generator=self._generator, device=x.device) >= self._share
        return (x * kept / (1 - self._share),)
