#!/usr/bin/env bash
# Install Debian's GoogleTest and Google Benchmark when they are missing and this user may. Where
# that cannot be done, CMake fetches both from their repositories, so nothing here is an error.
set -euo pipefail

packages=(libgtest-dev libbenchmark-dev)

missing=()
for package in "${packages[@]}"; do
  status="$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)"
  [[ "$status" == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ "$(id -u)" != 0 ]]; then
  if ! sudo -n true 2>/dev/null; then
    echo "${missing[*]} missing, and no right to install: CMake will fetch the sources"
    exit 0
  fi
  as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "no apt-get here: CMake will fetch GoogleTest and Google Benchmark"
  exit 0
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1
}
echo "installing ${missing[*]}"
if ! install; then
  # A fresh machine has no package lists yet.
  "${as_root[@]}" apt-get update >>"$log" 2>&1 || true
  if ! install; then
    tail -n 5 "$log"
    echo "could not install ${missing[*]}: CMake will fetch the sources"
  fi
fi
