#!/usr/bin/env bash
# Every static check: lint.sh BIN, where BIN holds ruff, mypy, vermin, clang-format and shellcheck.
set -euo pipefail
bin=$1

"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
# The device floor: JetPack 4's Python 3.6. vermin reads syntax and library use; make test-device runs it.
"$bin/vermin" -t=3.6- --no-tips --violations --quiet tsm_edge tests/device tests/tolerances.py
git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r "$bin/clang-format" --dry-run -Werror
git ls-files '*.sh' .ci/run | xargs -r "$bin/shellcheck" --severity=warning -x
