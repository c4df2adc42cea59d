"""BatchNorm folded into the convolution before it.

gamma * (conv(x) - mean) / sqrt(var + eps) + beta is itself a convolution, with a scaled kernel and a bias.
"""

import torch
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norm(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of the fused structure, name -> float32 tensor. The scale is applied in float64.

    Raises ValueError where a BatchNorm is not registered directly after a convolution of the same width.
    """
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    previous: tuple[str, Convolution] | None = None
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            if previous is None or previous[1].out_channels != module.num_features:
                raise ValueError(f"{name}: no convolution directly before this BatchNorm")
            weight, bias = _folded(previous[1], module)
            state[previous[0] + ".weight"], state[previous[0] + ".bias"] = weight, bias
            for key in module.state_dict():
                del state[f"{name}.{key}"]
            previous = None
        elif isinstance(module, Convolution):
            previous = name, module
    return state


@torch.no_grad()
def _folded(conv: Convolution, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    transposed = isinstance(conv, nn.ConvTranspose2d)  # whose weight is (in, out, height, width)
    weight = conv.weight.double() * (scale[None, :, None, None] if transposed else scale[:, None, None, None])
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return weight.float(), bias.float()
