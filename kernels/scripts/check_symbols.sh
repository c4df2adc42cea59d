#!/bin/sh
# check_symbols.sh LIBRARY: fail, and remove the library, if it needs newer system libraries than a Jetson Nano has.
# JetPack 4.6 is Ubuntu 18.04 with glibc 2.27 and the libstdc++ of gcc 7/8 (GLIBCXX_3.4.25, CXXABI_1.3.11). Prints the
# versions that the library needs.
set -eu
library=${1:?usage: check_symbols.sh LIBRARY}
allowed='^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux.*)\.so\.[0-9]+$'

fail() { rm -f "$library"; echo "$library: $*" >&2; exit 1; }
newest() { printf '%s\n' "$symbols" | sed -n "s/^$1_\([0-9.]*\)\$/\1/p" | sort -Vu | tail -n 1; }
at_most() { # name, limit
  version=$(newest "$1")
  [ -z "$version" ] || [ "$(printf '%s\n' "$version" "$2" | sort -V | tail -n 1)" = "$2" ] \
    || fail "needs $1_$version, and a Jetson Nano has $1_$2"
  [ -z "$version" ] || needs="$needs $1_$version"
}

symbols=$(LC_ALL=C readelf -W --version-info "$library" | sed -n 's/.*Name: \([A-Z]*_[0-9.]*\).*/\1/p')
libraries=$(LC_ALL=C readelf -W --dynamic "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for needed in $libraries; do
  echo "$needed" | grep -Eq "$allowed" || fail "needs $needed; only libc and libstdc++ are allowed"
done
needs=
at_most GLIBC 2.27
at_most GLIBCXX 3.4.25
at_most CXXABI 1.3.11
echo "$(basename "$library"): $(wc -c <"$library") bytes, needs$needs"
