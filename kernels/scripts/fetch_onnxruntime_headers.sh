#!/bin/sh
# Fetch the ONNX Runtime C API headers (no pip wheel carries them) into a folder, without installing anything.
#
#   fetch_onnxruntime_headers.sh DEST      -> DEST/onnxruntime_c_api.h
#
# They are the headers of Debian 13's libonnxruntime-dev 1.21 (MIT), API version 21; the library built with them asks
# the runtime for an older version of the API, so it loads in onnxruntime 1.10 and later. The header is checked against
# its SHA-256.
set -eu
dest=${1:?usage: fetch_onnxruntime_headers.sh DEST}
package_version=1.21.0+dfsg-1
header_sha256=7783e9664bdb0b1b36145b5c8587dd1bc9a399aa000edf2e3dd03003cafc6882

fail() { echo "fetch_onnxruntime_headers: $*" >&2; exit 1; }
check() { echo "$header_sha256  $1/onnxruntime_c_api.h" | sha256sum --check --status; }

if [ -f "$dest/onnxruntime_c_api.h" ] && check "$dest"; then exit 0; fi
command -v apt-get >/dev/null || fail "needs apt-get; give the headers yourself: cmake -DONNXRUNTIME_INCLUDE_DIR=..."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh "$(dirname "$0")/fetch_debian_package.sh" libonnxruntime-dev "$package_version" trixie main "$work"
check "$work/tree/usr/include/onnxruntime" || fail "onnxruntime_c_api.h: SHA-256 is not the one pinned here"
mkdir -p "$dest"
cp "$work/tree/usr/include/onnxruntime/onnxruntime_c_api.h" "$dest/"
