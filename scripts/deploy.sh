#!/usr/bin/env bash
# Copy tsm-edge and a model to a board, build kernels and engine there, and copy a report back:
#
#   deploy.sh [--dry-run] [--] HOST MODEL    HOST: as for ssh (user@board); MODEL: a name in build/, or a .onnx file
#
# The script uses one ssh connection, which must open without a password (ssh-copy-id). Set up a new board first:
# devices/*/README.md. An earlier deploy on the board stays complete until the new kernels are built. Environment:
#   SSH              the ssh command ("ssh -p 2222")
#   FOLDER           the folder on the board (default: tsm-edge, in the home folder)
#   BOARD_PYTHON     the board's Python (default: /opt/tsm-edge/venv/bin/python, which setup.sh makes, else python3)
#   KERNEL_OPTIONS   options for CMake, separated by spaces
#   PROFILE_SECONDS  default 10
#   REPORTS          the folder of the reports here (default: build/deploy)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { # MESSAGE WHAT-TO-DO
    printf 'deploy: error: %s\n  do:        %s\n' "$1" "$2" >&2
    exit 2
}
shown() { # TEXT: print it without characters that a terminal obeys
    local plain='^[A-Za-z0-9@%+=:;,./_ -]*$'
    if [[ $1 =~ $plain ]]; then printf "'%s'" "$1"; else LC_ALL=C printf %q "$1"; fi
}
quoted() { # TEXT: print it as one word for the board's shell, whichever that is
    local rest=$1 text=''
    while [[ $rest == *\'* ]]; do
        text+="${rest%%\'*}'\\''"
        rest=${rest#*\'}
    done
    printf "'%s'" "$text$rest"
}

dry_run=
if [ "${1:-}" = --dry-run ]; then
    dry_run=1
    shift
fi
if [ "${1:-}" = -- ]; then shift; fi
host=${1:-} model=${2:-} folder=${FOLDER:-tsm-edge} python=${BOARD_PYTHON:-} seconds=${PROFILE_SECONDS:-10}
usage="make deploy HOST=user@board MODEL=name"
[ -n "$host" ] || fail "no HOST" "$usage"
[ -n "$model" ] || fail "no MODEL" "$usage"
[[ $host =~ ^[A-Za-z0-9][A-Za-z0-9@._:-]*$ ]] || fail "HOST $(shown "$host")" "write it as for ssh: $usage"
[[ $folder =~ ^[A-Za-z0-9._/-]+$ && $folder != -* ]] || fail "FOLDER $(shown "$folder")" "use only letters, digits and . _ - /"
case $model in
    *.onnx) onnx=$model ;;
    *) onnx=build/$model.onnx ;;
esac
manifest=${onnx%.onnx}.json
name=$(basename -- "$onnx" .onnx)
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "MODEL $(shown "$model")" "rename it: only letters, digits and . _ -"
for file in "$onnx" "$manifest"; do
    [ -f "$file" ] || fail "no $(shown "$file")" "make export MODEL=$name"
done
[[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "PROFILE_SECONDS $(shown "$seconds")" "give seconds, for example 10"
[[ $python != *[[:cntrl:]]* ]] || fail "BOARD_PYTHON $(shown "$python")" "name the board's Python"
report=${REPORTS:-build/deploy}/$host
case $report in -*) report=./$report ;; esac

read -ra ssh <<<"${SSH:-ssh}"
read -r -d '' -a kernel_options <<<"${KERNEL_OPTIONS:-}" || true # at its end
work=$(mktemp -d)
# All commands share one connection. BatchMode: ssh never asks for a password.
ssh+=(-o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4)
ssh+=(-o ControlMaster=auto -o "ControlPath=$work/ssh" -o ControlPersist=60)

show() {
    printf '+'
    LC_ALL=C printf ' %q' "$@"
    printf '\n'
}
on_board() { # COMMAND-LINE for the board's shell
    show "${ssh[@]}" "$host" "$1"
    if [ -z "$dry_run" ]; then "${ssh[@]}" "$host" "$1"; fi
}
send() { # FOLDER-ON-BOARD TAR-ARGUMENT...; -m: the clock of a board without a battery may be wrong
    local to=$1
    shift
    show tar -cz "$@"
    show "|" "${ssh[@]}" "$host" "tar -xmz -C $to"
    if [ -z "$dry_run" ]; then tar -cz "$@" | "${ssh[@]}" "$host" "tar -xmz -C $to"; fi
}

connected=
clean() {
    local code=$?
    trap - EXIT INT TERM
    if [ -n "$connected" ]; then
        "${ssh[@]}" "$host" "rm -rf $folder/code.new $folder/model.new $folder/report.new" 2>/dev/null || true
        "${ssh[@]}" -O exit "$host" 2>/dev/null || true
    fi
    rm -rf "$work" "$report.new"
    exit "$code"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "== connect to $host"
if ! on_board "true" 2>"$work/refused"; then
    cat "$work/refused" >&2
    fail "no connection to $host" "ssh $host once by hand, then: ssh-copy-id $host"
fi
if [ -z "$dry_run" ]; then connected=1; fi

echo "== copy the device half, the kernels' sources and $name"
git ls-files --cached --others --exclude-standard -- tsm_edge kernels devices scripts/on_board.sh LICENSE |
    grep -v '^kernels/tests/' >"$work/code"
on_board "mkdir -p $folder/models && rm -rf $folder/code.new $folder/model.new && mkdir $folder/code.new $folder/model.new"
send "$folder/code.new" -T "$work/code"
if [ -n "$dry_run" ] || sh kernels/scripts/fetch_onnxruntime_headers.sh build/onnxruntime; then
    send "$folder/code.new" -C build onnxruntime
else
    echo "Found no header of ONNX Runtime, so the board builds no library of custom operations for it."
fi
send "$folder/model.new" -C "$(dirname -- "$onnx")" "$name.onnx" "$name.json"

step() { # CODE-FOLDER STEP ARGUMENT...
    local line argument
    line="FOLDER=$folder BOARD_PYTHON=$(quoted "$python") bash $folder/$1/scripts/on_board.sh $2"
    for argument in "${@:3}"; do line+=" $(quoted "$argument")"; done
    on_board "$line"
}
echo "== build the kernels on the board"
step code.new kernels ${kernel_options[@]+"${kernel_options[@]}"}
echo "== replace the old code and model"
step code.new place "$name"
echo "== build the engine on the board"
step code engine "$name"
echo "== doctor and profile"
step code report "$name" "$seconds"

echo "== copy the report back"
show "${ssh[@]}" "$host" "tar -cz -C $folder/report ."
if [ -z "$dry_run" ]; then
    rm -rf "$report.new"
    mkdir -p "$report.new"
    "${ssh[@]}" "$host" "tar -cz -C $folder/report ." | tar -xz -C "$report.new"
    rm -rf "$report"
    mv "$report.new" "$report"
    ls -l "$report"
    engine=$folder/$(LC_ALL=C tr -cd 'A-Za-z0-9._/-' <"$report/engine.txt")
    echo "== done. On the board: $folder/tsm-edge run --engine $engine --camera 0"
else
    echo "== dry run: nothing was copied or built. After a deploy, on the board:"
    echo "   $folder/tsm-edge run --engine $folder/models/$name.trt --camera 0   (without TensorRT: $name.onnx)"
fi
