#!/usr/bin/env bash
# build_cpp.sh FOLDER TARGET [CMAKE OPTION...]: configure FOLDER if need be and build one target.
set -euo pipefail

folder=$1 target=$2
shift 2
log="$folder/configure.log"
mkdir -p "$folder"
generator=()
[[ -f "$folder/CMakeCache.txt" ]] || generator=(-G Ninja -DCMAKE_BUILD_TYPE=Release)
if ! cmake -S . -B "$folder" "${generator[@]}" "$@" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
cmake --build "$folder" --target "$target"
