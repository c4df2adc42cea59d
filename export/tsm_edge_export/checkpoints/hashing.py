"""One number for a set of weights."""

import hashlib

import torch


def weights_sha256(state) -> str:
    """SHA-256 (hex) over all tensors of a state_dict: name, dtype, shape and bytes, in the order of the names.

    state: name -> tensor. BatchNorm's num_batches_tracked is left out: it counts training steps, no answer depends on
    it, and half of the published files lack it.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.endswith(".num_batches_tracked"):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
