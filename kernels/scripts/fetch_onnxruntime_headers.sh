#!/bin/sh
# Download the headers of ONNX Runtime's C API into a folder, without installing anything. No pip wheel has them.
#
#   fetch_onnxruntime_headers.sh DEST      -> DEST/onnxruntime_c_api.h
#
# They are the headers of Debian 13's libonnxruntime-dev 1.21 (MIT), API version 21. The library that is built with them
# asks the runtime for the runtime's own API version, so it loads in ONNX Runtime 1.10 and later. The script checks the
# SHA-256 of the header.
set -eu
dest=${1:?usage: fetch_onnxruntime_headers.sh DEST}
package_version=1.21.0+dfsg-1
header_sha256=7783e9664bdb0b1b36145b5c8587dd1bc9a399aa000edf2e3dd03003cafc6882

fail() { echo "fetch_onnxruntime_headers: $*" >&2; exit 1; }
check() { echo "$header_sha256  $1/onnxruntime_c_api.h" | sha256sum --check --status; }

if [ -f "$dest/onnxruntime_c_api.h" ] && check "$dest"; then exit 0; fi
command -v apt-get >/dev/null || fail "needs apt-get, or headers of yours: cmake -DONNXRUNTIME_INCLUDE_DIR=..."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh "$(dirname "$0")/fetch_debian_package.sh" libonnxruntime-dev "$package_version" trixie main "$work"
check "$work/tree/usr/include/onnxruntime" || fail "onnxruntime_c_api.h: the SHA-256 differs from the pinned one"
mkdir -p "$dest"
cp "$work/tree/usr/include/onnxruntime/onnxruntime_c_api.h" "$dest/"
