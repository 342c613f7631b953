#!/usr/bin/env bash
# Print the path of an nvcc of CUDA 12 or newer: CUDACXX, the PATH's, or that of the usual folder.
set -euo pipefail

for nvcc in "${CUDACXX:-}" nvcc /usr/local/cuda/bin/nvcc; do
  path="$(command -v "$nvcc" 2>/dev/null)" || continue
  release="$("$path" --version 2>/dev/null | sed -n 's/.*release \([0-9]*\).*/\1/p')"
  if [[ -n "$release" && "$release" -ge 12 ]]; then
    echo "$path"
    exit 0
  fi
done
exit 1
