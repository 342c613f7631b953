#!/usr/bin/env bash
# install_debian.sh OTHERWISE PACKAGE...: install the Debian packages that are missing, when this user
# may. Where that cannot be done it prints OTHERWISE and goes on: nothing here is an error.
set -euo pipefail

otherwise=$1
shift

missing=()
for package in "$@"; do
  status="$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)"
  [[ "$status" == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ "$(id -u)" != 0 ]]; then
  if ! sudo -n true 2>/dev/null; then
    echo "${missing[*]} missing, and no right to install: $otherwise"
    exit 0
  fi
  as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "no apt-get here: $otherwise"
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
    echo "could not install ${missing[*]}: $otherwise"
  fi
fi
