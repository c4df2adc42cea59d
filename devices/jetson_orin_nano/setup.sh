#!/usr/bin/env bash
# Set up a Jetson Orin Nano with JetPack 6.1 or later for tsm-edge: setup.sh --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # setup_common.sh reads these
{
    BOARD="Jetson Orin Nano"
    RELEASES=("36.[4-9]*" "39.*")
    PIP="pip==25.3"
    PACKAGES=(python3-dev python3-venv build-essential cmake v4l-utils)
    OPENCV=(libopencv-python python3-opencv) # JetPack's OpenCV, else Ubuntu's; both have GStreamer
    PYCUDA=("pycuda==2025.1.2")
    MAXN=0
}
# shellcheck source=devices/setup_common.sh
. "$here/../setup_common.sh"
setup_main "$@"
