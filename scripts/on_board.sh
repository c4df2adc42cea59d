#!/usr/bin/env bash
# Do one step of scripts/deploy.sh on the board, to which deploy.sh copies this script: on_board.sh STEP [ARGUMENT...]
#   kernels [CMAKE-OPTION...]   builds the native kernels in the new code
#   place MODEL                 replaces the old code and the old model by the new ones
#   engine MODEL                builds models/MODEL.trt, if the board has TensorRT and pycuda
#   report MODEL SECONDS        writes report/: doctor, profile, and the name of the profiled engine
# Environment: FOLDER, the folder of all this; BOARD_PYTHON, the Python to use (empty: setup.sh's, else python3).
set -euo pipefail
cd "$FOLDER"
step=$1
shift

python=${BOARD_PYTHON:-}
for candidate in /opt/tsm-edge/venv/bin/python python3; do
    if [ -z "$python" ] && command -v "$candidate" >/dev/null; then python=$candidate; fi
done
# Set before numpy is imported: numpy 1.19.5 misdetects the processor of a Nano and crashes.
if [ "$(uname -m)" = aarch64 ]; then export OPENBLAS_CORETYPE=ARMV8; fi
export PATH="$PATH:/usr/local/cuda/bin"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' || {
    echo "on_board: error: $python on the board is not Python 3.6 or later (setup.sh first: devices/*/README.md)" >&2
    exit 2
}
"$python" -c 'import numpy' || {
    echo "on_board: error: $python on the board has no numpy (setup.sh first: devices/*/README.md)" >&2
    exit 2
}
quoted() { # TEXT: print it as one word for any shell
    printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}
tsm_edge() { PYTHONPATH="$PWD/code${PYTHONPATH:+:$PYTHONPATH}" "$python" -m tsm_edge "$@"; }

case $step in
    kernels)
        if ! command -v cmake >/dev/null || ! command -v g++ >/dev/null; then
            echo "No cmake or g++ on the board, so no native kernels are built: models run by standard operations."
            echo "To build them: run this board's $FOLDER/code/devices/*/setup.sh, then deploy again"
            exit
        fi
        # Jetsons have no package with this header, so deploy.sh sends the host's.
        if [ -d code.new/onnxruntime ]; then export ONNXRUNTIME_INCLUDE_DIR="$PWD/code.new/onnxruntime"; fi
        mkdir -p code.new/build/kernels
        cd code.new/build/kernels
        cmake ../../kernels "$@"
        cmake --build .
        cd ../..
        rm -rf build
        ;;
    place)
        mv model.new/"$1".onnx model.new/"$1".json models/
        rmdir model.new
        rm -rf code.old
        if [ -d code ]; then mv code code.old; fi
        mv code.new code
        rm -rf code.old
        cat >tsm-edge.new <<END
#!/bin/sh
$([ -z "${OPENBLAS_CORETYPE:-}" ] || echo "export OPENBLAS_CORETYPE=$OPENBLAS_CORETYPE")
PYTHONPATH=$(quoted "$PWD/code")"\${PYTHONPATH:+:\$PYTHONPATH}" exec $(quoted "$python") -m tsm_edge "\$@"
END
        chmod +x tsm-edge.new
        mv tsm-edge.new tsm-edge
        ;;
    engine)
        echo "models/$1.onnx" >"models/$1.engine"
        if "$python" -c 'import tensorrt, pycuda' 2>/dev/null; then
            tsm_edge build "models/$1.onnx" -o "models/$1.trt" --fp16
            echo "models/$1.trt" >"models/$1.engine"
        else
            echo "no TensorRT, or no pycuda, for $python on the board: ONNX Runtime runs the ONNX model."
        fi
        ;;
    report)
        rm -rf report report.new
        mkdir report.new
        engine=$(cat "models/$1.engine") # never a .trt of an earlier deploy
        echo "$engine" >report.new/engine.txt
        tsm_edge doctor | tee report.new/doctor.txt
        tsm_edge doctor --json >report.new/doctor.json
        tsm_edge info "$engine" >report.new/info.txt
        tsm_edge profile --engine "$engine" --seconds "$2" --json report.new/profile.json | tee report.new/profile.txt
        mv report.new report
        ;;
    *)
        echo "on_board: error: no step '$step'" >&2
        exit 2
        ;;
esac
