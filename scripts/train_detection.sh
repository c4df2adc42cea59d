#!/usr/bin/env bash
# Train a detector: train_detection.sh BIN CONFIG [START] [DIRECTION]. An interrupted training continues.
# CONFIG: a name in training_configs, or a file.toml. START: weights to start from. DIRECTION: causal, or none (the twin).
set -euo pipefail
bin=$1 config=${2:-} start=${3:-} direction=${4:-}
configs=export/tsm_edge_export/training_configs

if [ -z "$config" ]; then
    names=$(cd "$configs" && grep -l '^task = "detection"' -- *.toml | sed 's/\.toml//' | tr '\n' ' ')
    echo "make train-detection needs CONFIG=name or file.toml; names: $names" >&2
    exit 2
fi
case $config in
*.toml) ;;
*) config=$configs/$config.toml ;;
esac
out=build/training/$(basename -- "$config" .toml)${direction:+_$direction}
# By default glibc returns the memory of each step to the kernel, and the next step pays for it with page faults.
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=500000000
options=(-o "$out")
if [ -n "$start" ]; then options+=(--start="$start"); fi
if [ -n "$direction" ]; then options+=(--direction="$direction"); fi
if [ -e "$out/state.safetensors" ]; then options+=(--resume); fi
"$bin/tsm-edge" train "${options[@]}" -- "$config"
