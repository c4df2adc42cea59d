"""Our own checkpoint with its matrices as float16, to ship: pack_weights.py FROM TO (both .safetensors)."""

import argparse
from pathlib import Path

from safetensors import safe_open

from tsm_edge_export import checkpoints, models
from tsm_edge_export.checkpoints import own

MOST = 5_000_000  # bytes, what may lie in the repository


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    chosen = parser.parse_args()
    with safe_open(chosen.source, "pt") as file:
        said = own.described(chosen.source, file.metadata())
    checkpoint = checkpoints.load(chosen.source, said["arch"], False, 0, said["fold_div"])
    network = models.build(said["arch"], said["fold_div"])
    network.load_state_dict(checkpoint.state, strict=True)
    chosen.target.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(chosen.target, network, said["direction"], said["n_segment"], said["labels"], half=True)
    size = chosen.target.stat().st_size
    print(f"{chosen.target}: {size} bytes")
    if size > MOST:
        raise SystemExit(f"{chosen.target}: {size} bytes, expected at most {MOST}")


if __name__ == "__main__":
    main()
