#!/usr/bin/env bash
# build_cpp.sh FOLDER TARGETS [CMAKE OPTION...]: configure FOLDER if need be and build.
set -euo pipefail

folder=$1 targets=$2
shift 2
log="$folder/configure.log"
mkdir -p "$folder"
generator=()
[[ -f "$folder/CMakeCache.txt" ]] || generator=(-G Ninja -DCMAKE_BUILD_TYPE=Release)
if ! cmake -S . -B "$folder" "${generator[@]}" "$@" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
# shellcheck disable=SC2086  # several targets are several words
cmake --build "$folder" --target $targets
