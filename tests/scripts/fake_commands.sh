#!/usr/bin/env bash
# A fake of every command by which a set-up script changes or reads the system, called by the command's name. It logs
# its arguments to $FAKE_STATE/log, and remembers in $FAKE_STATE/has what the real command would have changed.
set -euo pipefail
state=$FAKE_STATE
name=$(basename "$0")

log() { printf '%s\n' "$*" >>"$state/log"; }
has() { grep -qxF -- "$1" "$state/has" 2>/dev/null; }
gain() { printf '%s\n' "$1" >>"$state/has"; }

case $name in
    sudo) exec "$@" ;;
    id)
        case $1 in
            -u) echo 1000 ;;
            -nG) if has "group video"; then echo "users sudo video"; else echo "users sudo"; fi ;;
            *) /usr/bin/id "$@" ;;
        esac
        ;;
    getent) [ "$2" = video ] ;; # no group "render", as on Ubuntu 18.04
    dpkg-query) if has "package ${!#}"; then printf installed; else exit 1; fi ;;
    apt-cache) has "known $2" ;;
    apt-get)
        log "$name $*"
        if [ "$1" = install ]; then
            for package in "$@"; do gain "package $package"; done
        fi
        ;;
    python3)
        if [ "$1" = -c ]; then has "package nvidia-jetpack"; exit; fi # import tensorrt
        log "$name $*"
        venv=${!#}
        mkdir -p "$venv/bin"
        ln -s "$(dirname "$0")/venv-python" "$venv/bin/python"
        ;;
    python) # that of the virtual environment
        case "$*" in
            "-c import pycuda.driver") has pycuda ;;
            *"-m tsm_edge"*) echo "doctor says: fine" ;;
            *pycuda==*)
                log "pip: $* CUDA_ROOT=$CUDA_ROOT CPATH=$CPATH LIBRARY_PATH=$LIBRARY_PATH nvcc=$(command -v nvcc)"
                gain pycuda
                ;;
            *) log "pip: $*" ;;
        esac
        ;;
    usermod)
        log "$name $*"
        gain "group video"
        ;;
    fallocate)
        log "$name $*"
        : >"${!#}"
        ;;
    systemctl)
        if [ "$1" = get-default ]; then
            if has headless; then echo multi-user.target; else echo graphical.target; fi
        else
            log "$name $*"
            if [ "$1" = set-default ]; then gain headless; fi
        fi
        ;;
    *) log "$name $*" ;;
esac
