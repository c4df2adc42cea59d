#!/usr/bin/env bash
# Set up a Jetson Nano with JetPack 4.6.1 or later for tsm-edge: setup.sh --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # setup_common.sh reads these
{
    BOARD="Jetson Nano"
    RELEASES=("32.7.*")
    PIP="pip==21.3.1" # the last pip for Python 3.6
    PACKAGES=(python3-dev python3-venv build-essential cmake v4l-utils)
    OPENCV=(libopencv-python) # JetPack's OpenCV has GStreamer; Ubuntu 18.04's OpenCV is 3.2
    # TensorRT 8.2's samples need pycuda before 2021.1. This pytools is the last one for Python 3.6.
    PYCUDA=("pycuda==2020.1" "pytools==2022.1.12")
    MAXN=0
}
# shellcheck source=devices/setup_common.sh
. "$here/../setup_common.sh"
setup_main "$@"
