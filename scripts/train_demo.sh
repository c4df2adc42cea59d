#!/usr/bin/env bash
# Train the demo model as its model card describes, and measure it: train_demo.sh BIN START.
# START: a MobileNetV2 checkpoint with torchvision's keys. An interrupted stage continues from its last save.
set -euo pipefail
bin=$1 start=${2:-} out=build/training configs=export/tsm_edge_export/training_configs
weights=export/tsm_edge_export/weights/mobilenetv2_tsm.safetensors

if [ -z "$start" ]; then
    echo "make train-demo needs START=mobilenetv2.pth, weights to start from with torchvision's keys" >&2
    exit 2
fi
# By default glibc returns the memory of each step to the kernel, and the next step pays for it with page faults.
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=500000000
for stage in synthetic_112 synthetic_112_windows synthetic_224 synthetic_224_clips \
    synthetic_160_windows synthetic_224_last; do
    if ! grep -qs '"kind": "end"' "$out/$stage/log.jsonl"; then
        resume=()
        if [ -e "$out/$stage/state.safetensors" ]; then resume=(--resume); fi
        "$bin/tsm-edge" train "$configs/$stage.toml" -o "$out/$stage" --start "$start" "${resume[@]}"
    fi
    start=$out/$stage/last.safetensors
done
"$bin/python" scripts/pack_weights.py "$start" "$weights"
"$bin/tsm-edge" export mobilenetv2_tsm -o build/mobilenetv2_tsm.onnx
"$bin/tsm-edge" eval --engine build/mobilenetv2_tsm.onnx --synthetic 1200 --split test --seed 0 \
    -o export/tsm_edge_export/weights/test_clips.json
for seed in 0 1 2 3; do
    "$bin/tsm-edge" eval --engine build/mobilenetv2_tsm.onnx --synthetic-stream 600 --seed $seed \
        -o export/tsm_edge_export/weights/test_stream_$seed.json
done
