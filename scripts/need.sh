#!/usr/bin/env bash
# Make sure that a program is installed: need.sh PROGRAM PACKAGE... As root on Debian or Ubuntu this installs the packages;
# elsewhere it prints the command that does.
set -euo pipefail
program=$1
shift

command -v "$program" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
fi
command -v "$program" >/dev/null ||
    { echo "$program is missing. On Debian and Ubuntu: sudo apt-get install $*" >&2; exit 2; }
