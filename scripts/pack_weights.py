"""Store the matrices of our own checkpoint as float16, to ship it: pack_weights.py FROM TO (both .safetensors)."""

import argparse
from pathlib import Path

from safetensors import safe_open

from tsm_edge_export import checkpoints, models
from tsm_edge_export.checkpoints import own

MAX_BYTES = 5_000_000  # of a file in the repository


def main() -> None:
    """Write the packed checkpoint. Exit with a message where it is larger than MAX_BYTES."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    chosen = parser.parse_args()
    with safe_open(chosen.source, "pt") as file:
        stated = own.described(chosen.source, file.metadata())
    arch, fold_div = stated["arch"], stated["fold_div"]
    network = models.build(arch, fold_div)
    network.load_state_dict(checkpoints.load(chosen.source, arch, fold_div=fold_div).state, strict=True)
    chosen.target.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(chosen.target, network, stated["direction"], stated["n_segment"], stated["labels"], half=True)
    size = chosen.target.stat().st_size
    print(f"{chosen.target}: {size} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{chosen.target}: {size} bytes, expected at most {MAX_BYTES}")


if __name__ == "__main__":
    main()
