#!/usr/bin/env bash
# What scripts/deploy.sh has done on the board; it is copied there. on_board.sh STEP [ARGUMENT...]
#   kernels [CMAKE-OPTION...]   builds the native kernels in the new code
#   place MODEL                 puts the new code and the model where the old ones stood
#   engine MODEL                builds models/MODEL.trt, where the board has TensorRT (that takes pycuda, too)
#   report MODEL SECONDS        writes report/: doctor, profile, and which engine was profiled
# FOLDER: where it all is. BOARD_PYTHON: the Python to use; empty: the one setup.sh makes, else python3.
set -euo pipefail
cd "$FOLDER"
step=$1
shift

python=${BOARD_PYTHON:-}
for candidate in /opt/tsm-edge/venv/bin/python python3; do
    if [ -z "$python" ] && command -v "$candidate" >/dev/null; then python=$candidate; fi
done
# Before numpy is imported: 1.19.5 misreads a Nano's processor and crashes.
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
tsm_edge() { PYTHONPATH="$PWD/code${PYTHONPATH:+:$PYTHONPATH}" "$python" -m tsm_edge "$@"; }

case $step in
    kernels)
        if ! command -v cmake >/dev/null || ! command -v g++ >/dev/null; then
            echo "no cmake or g++ on the board, so no native kernels: models run by standard operations."
            echo "To have them: $FOLDER/code/devices/*/setup.sh (this board's), then deploy again"
            exit
        fi
        # Jetsons have no package with this header: deploy.sh sends the host's.
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
PYTHONPATH="$PWD/code\${PYTHONPATH:+:\$PYTHONPATH}" exec "$python" -m tsm_edge "\$@"
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
            echo "no TensorRT, or no pycuda, for $python on the board: the ONNX model is run, by ONNX Runtime."
        fi
        ;;
    report)
        rm -rf report report.new
        mkdir report.new
        engine=$(cat "models/$1.engine") # not a .trt that an earlier deploy left
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
