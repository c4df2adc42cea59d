"""Seeded initial weights, for training from scratch and for models that say that they are untrained."""

import math

import torch
from torch import nn

from .network import Network


@torch.no_grad()
def init_(network: Network, seed: int) -> Network:
    """Fill `network` in place and return it. Does not touch torch's global generator.

    Convolutions: normal with variance 2 / fan-out (He et al. 2015), the fan of one group, so that depthwise layers keep
    the signal. BatchNorm: identity, but the last of each residual branch scales by 1 / sqrt(number of blocks): with
    untrained statistics the variance would otherwise double in every block. Linear layers: standard deviation
    8 / sqrt(inputs), bias 0: features of an untrained network barely differ between pictures, and the answers should.
    Convolutions with a bias are heads: standard deviation 1 / (4 sqrt(inputs)), and the network's `class_bias`.
    Raises ValueError for a fused network, which has no BatchNorm left.
    """
    if network.fused:
        raise ValueError("network: got a fused one, expected one from build(); fuse it afterwards")
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
            deviation = math.sqrt(2 / fan_out) if module.bias is None else 0.25 / math.sqrt(module.in_channels)
            module.weight.normal_(0, deviation, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.ConvTranspose2d):  # its kernel is its stride: each output reads each input once
            module.weight.normal_(0, math.sqrt(2 / module.in_channels), generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            module.weight.normal_(0, 8 / math.sqrt(module.in_features), generator=generator)
            module.bias.zero_()
    if network.class_layer is not None:
        network.get_submodule(network.class_layer).get_parameter("bias").fill_(network.class_bias)
    branches = [block.last_norm for _, block in network.blocks() if block.residual]
    for norm in branches:
        norm.get_parameter("weight").fill_(1 / math.sqrt(len(branches)))
    return network
