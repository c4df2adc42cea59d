# The common part of the boards' set-up scripts. A board's setup.sh sets BOARD, RELEASES, PIP, PACKAGES, OPENCV, PYCUDA,
# MAXN and here (its own folder), sources this file and calls setup_main. Needs bash 4.4 (Ubuntu 18.04) or later.
# shellcheck shell=bash disable=SC2154

# The folder of the system's files; tests set another one.
SYSTEM=${TSM_EDGE_SYSTEM:-}

usage() {
    cat <<END
Set up a $BOARD for tsm-edge. The script may be run again: it does only the steps that are still missing.

  setup.sh [--dry-run] [--prefix DIR] [--swap GB] [--performance] [--headless] [--service] [--no-pycuda]

  --dry-run      print the commands, but run none
  --prefix DIR   folder of the Python environment and the tsm-edge command (default /opt/tsm-edge)
  --swap GB      also make a swap file of this size: building an engine may need more memory than the board has
  --performance  also set the power mode to MAXN, and lock the clocks at their maximum until the next boot
  --headless     also boot without a desktop from now on, which leaves more memory for the engine
  --service      also install a systemd service; /etc/default/tsm-edge holds the arguments of its run. Together with
                 --performance (also in a later call), the service locks the clocks at each of its starts
  --no-pycuda    do not install pycuda: no TensorRT engines, only ONNX Runtime on the CPU
END
}

fail() { # MESSAGE WHAT-TO-DO: for wrong arguments or a wrong board; control characters are left out
    printf 'setup: error: %s\n  do:       %s\n' "${1//[[:cntrl:]]/}" "$2" >&2
    exit 2
}

say() { printf '== %s\n' "$*"; }
already() { printf '   already there: %s\n' "$*"; }

run() { # print a command, and run it unless this is a dry run
    printf '   +'
    printf ' %q' "$@"
    printf '\n'
    if [ -z "$dry_run" ]; then "$@"; fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then run "$@"; else run sudo "$@"; fi
}

write_file() { # PATH [MODE]: replace the file by the text on standard input, if it differs; never in part
    local path=$1 text
    text=$(cat)
    if [ -f "$path" ] && [ "$(cat "$path")" = "$text" ]; then
        already "$path"
        return
    fi
    printf '   + write %s\n' "$path"
    [ -z "$dry_run" ] || return 0
    local part
    part=$(mktemp)
    printf '%s\n' "$text" >"$part"
    as_root_quietly install -D -m "${2:-644}" "$part" "$path"
    rm -f "$part"
}

as_root_quietly() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

check_board() {
    local file="$SYSTEM/etc/nv_tegra_release" release
    [ -f "$file" ] || fail "no $file: this is no Jetson" "run it on the $BOARD (flash that first: README.md)"
    release=$(sed -n 's/^# R\([0-9]*\) (release), REVISION: \([0-9][0-9.]*\).*/\1.\2/p' "$file")
    local known
    for known in "${RELEASES[@]}"; do
        # shellcheck disable=SC2053  # a pattern
        if [[ $release == $known ]]; then
            say "$BOARD, L4T $release"
            return
        fi
    done
    fail "L4T ${release:-unknown}: setup.sh of the $BOARD supports ${RELEASES[*]}" "flash another JetPack: README.md"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

first_known() { # PACKAGE...: print the first one that apt knows; if it knows none, the first one
    local package
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo "$1"
}

install_packages() {
    say "system packages"
    local missing=() package
    for package in "${PACKAGES[@]}" "$(first_known "${OPENCV[@]}")"; do
        installed "$package" || missing+=("$package")
    done
    # CUDA and TensorRT are on JetPack's SD card image, but not on every module.
    if ! [ -x "$SYSTEM/usr/local/cuda/bin/nvcc" ] || ! python3 -c 'import tensorrt' 2>/dev/null; then
        installed nvidia-jetpack || missing+=(nvidia-jetpack)
    fi
    if [ ${#missing[@]} = 0 ]; then
        already "${PACKAGES[*]}, OpenCV, CUDA, TensorRT"
        return
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_python() {
    say "Python environment in $prefix/venv"
    local venv="$prefix/venv" owner
    owner=$(id -un)
    if ! [ -w "$prefix" ]; then
        as_root install -d -o "$owner" "$prefix"
    fi
    # --system-site-packages, because JetPack installs OpenCV and TensorRT for the system's Python only.
    [ -x "$venv/bin/python" ] || run python3 -m venv --system-site-packages "$venv"
    if cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
        already "$(paste -sd ' ' "$here/requirements.txt")"
    else
        # The system's pip (9.0 on Ubuntu 18.04) does not support manylinux2014 wheels.
        run "$venv/bin/python" -m pip install -q --disable-pip-version-check "$PIP"
        run "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: \
            -r "$here/requirements.txt"
        run cp "$here/requirements.txt" "$venv/requirements.txt"
    fi
}

install_pycuda() {
    say "pycuda, which TensorRT engines need"
    local venv="$prefix/venv" cuda="$SYSTEM/usr/local/cuda"
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pycuda.driver' 2>/dev/null; then
        already pycuda
        return
    fi
    # pip compiles pycuda, which takes minutes. The folders of this CUDA are not in the compiler's default path.
    run "$venv/bin/python" -m pip install -q --disable-pip-version-check wheel setuptools
    run env "PATH=$cuda/bin:$PATH" "CUDA_ROOT=$cuda" "CPATH=$cuda/include" \
        "LIBRARY_PATH=$cuda/lib64" "$venv/bin/python" -m pip install -q --disable-pip-version-check \
        --no-build-isolation --no-binary=pycuda "${PYCUDA[@]}"
}

install_command() {
    say "the command $prefix/bin/tsm-edge"
    # OPENBLAS_CORETYPE: OpenBLAS misdetects a Jetson's processor (README.md, "Illegal instruction").
    write_file "$prefix/bin/tsm-edge" 755 <<END
#!/bin/sh
export OPENBLAS_CORETYPE=ARMV8 PYTHONPATH="$tree\${PYTHONPATH:+:\$PYTHONPATH}" PATH="/usr/local/cuda/bin:\$PATH"
exec "$prefix/venv/bin/python" -m tsm_edge "\$@"
END
}

allow_devices() {
    say "permission to use the cameras and the GPU"
    local user group
    user=${SUDO_USER:-$(id -un)}
    for group in video render; do # Ubuntu has "render" since 20.04
        getent group "$group" >/dev/null || continue
        if id -nG "$user" | tr ' ' '\n' | grep -qx "$group"; then
            already "$user in $group"
        else
            as_root usermod -aG "$group" "$user"
            echo "   log in again before you use them"
        fi
    done
}

make_swap() {
    local path=/var/tsm-edge.swap total
    total=$(awk '/^SwapTotal:/ {print int($2 / 1024)}' "$SYSTEM/proc/meminfo")
    say "swap: $total MB (including zram, which is part of the memory itself)"
    if [ -z "$swap" ]; then
        [ "$total" -ge 3000 ] || echo "   building an engine may run out of memory; setup.sh --swap 4 makes a swap file"
        return
    fi
    if grep -q "^$path " "$SYSTEM/etc/fstab"; then
        already "$path"
        return
    fi
    as_root fallocate -l "${swap}G" "$SYSTEM$path"
    as_root chmod 600 "$SYSTEM$path"
    as_root mkswap "$SYSTEM$path"
    as_root swapon "$SYSTEM$path"
    as_root sh -c "echo '$path none swap sw 0 0' >>'$SYSTEM/etc/fstab'"
}

set_performance() {
    say "power mode and clocks"
    as_root nvpmodel -m "$(maxn_mode)"
    as_root jetson_clocks
    echo "   the clocks are locked until the next boot; the service (--service) locks them again"
}

maxn_mode() { # print the number of MAXN_SUPER, else of MAXN, in this board's configuration; else the default
    local name number
    for name in MAXN_SUPER MAXN; do
        number=$(sed -n "s/^< *POWER_MODEL ID=\([0-9]*\) NAME=$name *>.*/\1/p" "$SYSTEM/etc/nvpmodel.conf" 2>/dev/null)
        if [ -n "$number" ]; then
            echo "$number"
            return
        fi
    done
    echo "$MAXN"
}

go_headless() {
    say "boot without a desktop"
    if [ "$(systemctl get-default)" = multi-user.target ]; then
        already multi-user.target
    else
        as_root systemctl set-default multi-user.target
        echo "   from the next boot on; undo: sudo systemctl set-default graphical.target"
    fi
}

lock_clocks_with_service() {
    say "clocks of the service"
    printf '[Service]\nExecStartPre=+/usr/bin/jetson_clocks\n' |
        write_file "$SYSTEM/etc/systemd/system/tsm-edge.service.d/clocks.conf"
    as_root systemctl daemon-reload
}

install_service() {
    say "service tsm-edge"
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@USER@|${SUDO_USER:-$(id -un)}|g" "$tree/devices/tsm-edge.service" |
        write_file "$SYSTEM/etc/systemd/system/tsm-edge.service"
    if [ -f "$SYSTEM/etc/default/tsm-edge" ]; then
        already /etc/default/tsm-edge
    else
        write_file "$SYSTEM/etc/default/tsm-edge" <"$tree/devices/tsm-edge.default"
    fi
    as_root systemctl daemon-reload
    as_root systemctl enable -q tsm-edge
    echo "   set the arguments of its run in /etc/default/tsm-edge, then: sudo systemctl restart tsm-edge"
}

setup_main() {
    dry_run='' prefix=/opt/tsm-edge swap='' performance='' headless='' service='' pycuda=1
    tree=$(cd "$here/../.." && pwd)
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry_run=1 ;;
            --prefix | --swap)
                [ -n "${2:-}" ] || fail "$1 needs a value" "setup.sh --help"
                if [ "$1" = --prefix ]; then prefix=$2; else swap=$2; fi
                shift
                ;;
            --performance) performance=1 ;;
            --headless) headless=1 ;;
            --service) service=1 ;;
            --no-pycuda) pycuda='' ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) fail "unknown argument $1" "setup.sh --help" ;;
        esac
        shift
    done
    # Both become part of a script and of the service's unit file.
    [[ $prefix =~ ^/[A-Za-z0-9._/+-]*$ ]] || fail "--prefix $prefix" "give an absolute path of letters, digits and . _ - +"
    [[ $tree != *[\"\$\`\\[:cntrl:]]* ]] || fail "the folder $tree" "copy tsm-edge to a folder with a plainer name"
    [[ -z $swap || $swap =~ ^[1-9][0-9]?$ ]] || fail "--swap $swap" "give a whole number of GB, 1 to 99"
    [ -f "$tree/tsm_edge/cli.py" ] || fail "no tsm_edge in $tree" "copy the whole repository, or use make deploy"

    check_board
    install_packages
    install_python
    if [ -n "$pycuda" ]; then install_pycuda; fi
    install_command
    allow_devices
    make_swap
    if [ -n "$performance" ]; then set_performance; fi
    if [ -n "$headless" ]; then go_headless; fi
    if [ -n "$service" ]; then install_service; fi
    if [ -n "$performance" ] && { [ -n "$service" ] || [ -f "$SYSTEM/etc/systemd/system/tsm-edge.service" ]; }; then
        lock_clocks_with_service
    fi
    say "check the result"
    run "$prefix/bin/tsm-edge" doctor
}
