#!/bin/sh
# sanitize.sh TOOL PYTHON: check the kernels with a tool of compute-sanitizer (sections memcheck, racecheck, initcheck).
set -eu
command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer on this machine"; exit 77; }
exec compute-sanitizer --tool "$1" --error-exitcode 9 "$2" -m benchmarks.gpu.check --few
