#!/bin/sh
# Fetch the ONNX Runtime C API headers (no pip wheel carries them) into a folder, without installing anything.
#
#   fetch_onnxruntime_headers.sh DEST      -> DEST/onnxruntime_c_api.h
#
# They are the headers of Debian 13's libonnxruntime-dev 1.21 (MIT), API version 21; the library built with them asks
# the runtime for an older version of the API, so it loads in onnxruntime 1.10 and later. The package comes from the
# Debian mirror that this machine's apt already uses, through a private list of sources: the machine's own stay as
# they are. The header is checked against its SHA-256.
set -eu
dest=${1:?usage: fetch_onnxruntime_headers.sh DEST}
package_version=1.21.0+dfsg-1
header_sha256=7783e9664bdb0b1b36145b5c8587dd1bc9a399aa000edf2e3dd03003cafc6882

fail() { echo "fetch_onnxruntime_headers: $*" >&2; exit 1; }
check() { echo "$header_sha256  $1/onnxruntime_c_api.h" | sha256sum --check --status; }

if [ -f "$dest/onnxruntime_c_api.h" ] && check "$dest"; then exit 0; fi
command -v apt-get >/dev/null || fail "needs apt-get; give the headers yourself: cmake -DONNXRUNTIME_INCLUDE_DIR=..."
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' \
  | awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
[ -n "$mirror" ] || fail "no Debian mirror among this machine's apt sources (apt-get update first), or this is not Debian"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/parts" "$work/out"
chmod -R a+rX "$work"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" \
    -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User=root "$@"
}
apt update || fail "could not read the package index of $mirror"
(cd "$work/out" && apt download "libonnxruntime-dev=$package_version") || fail "could not download libonnxruntime-dev"
dpkg-deb -x "$work"/out/libonnxruntime-dev_*.deb "$work/tree"
check "$work/tree/usr/include/onnxruntime" || fail "onnxruntime_c_api.h: SHA-256 is not the one pinned here"
mkdir -p "$dest"
cp "$work/tree/usr/include/onnxruntime/onnxruntime_c_api.h" "$dest/"
