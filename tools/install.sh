#!/usr/bin/env bash
# Make the Python environment: tools/install.sh VENV STAMP
# uv where it is present, else venv and pip; both take only what requirements/dev.txt has the hash of.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 stamp=$2
cache=${VERIRAMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/veriramp}
oldest="import sys; sys.exit(sys.version_info < (3, 11))"

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && "$candidate" -c "$oldest" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

make_venv() {
    if [[ -x $venv/bin/python ]] && "$venv/bin/python" -c "$oldest" 2>/dev/null; then
        return
    fi
    local python
    python=$(find_python)
    if [[ -n $uv ]]; then
        "$uv" venv --quiet --clear --seed --python "${python:-3.13}" "$venv"
        return
    fi
    [[ -n $python ]] || fail "Python 3.11 or newer is needed; install it (or uv), or name it: make install PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make environments: run 'apt-get install python3-venv', or install uv"
    "$python" -m venv --clear "$venv"
}

# The progress of uv and pip is theirs; this adds what is to be expected, and a sign of life where output is no terminal.
with_progress() {
    local started=$SECONDS pid
    "$@" </dev/null &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        if (( SECONDS - started >= 10 && (SECONDS - started) % 10 == 0 )) && [[ ! -t 1 ]]; then
            say "$((SECONDS - started)) s"
        fi
        sleep 1
    done
    wait "$pid"
    trap - INT TERM
}

uv=${UV-$(command -v uv || true)}
if [[ -z $uv && -x $venv/bin/uv ]]; then
    uv=$PWD/$venv/bin/uv
fi
last=$(cat "$cache/install.seconds" 2>/dev/null || true)
installer=pip expected="1 to 3 minutes"
[[ -z $uv ]] || installer=uv
[[ -z $last ]] || expected="last time $last s"
say "$(grep -c '==' requirements/dev.txt) packages into $venv with $installer ($expected)"
SECONDS=0
make_venv
if [[ -n $uv ]]; then
    export VIRTUAL_ENV=$PWD/$venv
    with_progress "$uv" pip install --require-hashes -r requirements/dev.txt
    "$uv" pip install --quiet --no-deps --no-build-isolation --editable .
else
    with_progress "$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes -r requirements/dev.txt
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
mkdir -p "$cache" && echo "$SECONDS" >"$cache/install.seconds"
touch "$stamp"
say "done in $SECONDS s"
