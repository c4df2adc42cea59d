#!/bin/sh
# Download one Debian package and unpack it, without installing anything or changing this machine's apt.
#
#   fetch_debian_package.sh NAME VERSION SUITE COMPONENT DEST [SHA256]      -> the package's files in DEST/tree
#
# The package comes from the Debian mirror of this machine's apt, through a separate list of sources. apt checks the
# package index against Debian's keys. SHA256, if given, is checked before unpacking. SUITE may be another release than
# the machine's. ARCH is the architecture of the package (default: this machine's).
set -eu
usage="usage: fetch_debian_package.sh NAME VERSION SUITE COMPONENT DEST [SHA256]"
name=${1:?$usage}
version=${2:?$usage}
suite=${3:?$usage}
component=${4:?$usage}
dest=${5:?$usage}
sha256=${6:-}

fail() { echo "fetch_debian_package: $*" >&2; exit 1; }

command -v apt-get >/dev/null || fail "needs apt-get"
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' \
  | awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
[ -n "$mirror" ] || fail "no Debian mirror among this machine's apt sources (not Debian, or run apt-get update)"
keys=/usr/share/keyrings/debian-archive-keyring.gpg

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/parts" "$dest"
chmod -R a+rX "$work"
echo "deb [${ARCH:+arch=$ARCH }signed-by=$keys] $mirror $suite $component" >"$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" \
    -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User=root "$@"
}
apt update || fail "could not read the package index of $mirror"
(cd "$dest" && apt download "$name=$version") || fail "could not download $name"
package=$(ls "$dest/$name"_*.deb)
[ -z "$sha256" ] || echo "$sha256  $package" | sha256sum --check --status \
  || fail "$name: the SHA-256 differs from the pinned one"
dpkg-deb -x "$package" "$dest/tree"
