#!/usr/bin/env bash
# Renew the hash-locked requirements from pyproject.toml: tools/lock.sh UV
# They hold names, versions and hashes only: no index, no file address, no path of the machine that made them.
set -euo pipefail
cd "$(dirname "$0")/.."
unset UV_FIND_LINKS UV_NO_INDEX
compile=("$1" pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes
    --no-emit-index-url --no-emit-find-links --no-annotate --no-header)
"${compile[@]}" --all-extras --group dev --output-file requirements/dev.txt
# The images take the very versions that were tested.
for extra in operator workers search; do
    "${compile[@]}" --extra "$extra" --constraint requirements/dev.txt --output-file "requirements/$extra.txt"
done
