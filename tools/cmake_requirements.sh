#!/usr/bin/env bash
# Print the pip packages needed for building with CMake 3.24 and Ninja: those the PATH lacks.
set -euo pipefail

version="$(cmake --version 2>/dev/null | awk 'NR == 1 { print $3 }' || true)"
if [[ -z "$version" || "$(printf '%s\n' 3.24 "$version" | sort -V | head -n 1)" != 3.24 ]]; then
  echo "cmake>=3.24"
fi
ninja --version >/dev/null 2>&1 || echo "ninja>=1.10"
