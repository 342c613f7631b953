#!/usr/bin/env bash
# check_python.sh PYTHON: what is needed to build an extension for this Python. Debian keeps the headers
# in a package of their own, which is installed when this user may.
set -euo pipefail

python=$1
"$python" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("gradstone needs Python 3.11 or newer, got " + sys.version.split()[0])'
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
  echo "$python cannot make environments; on Debian: apt install python3-venv" >&2
  exit 1
}
headers() { "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; }
headers || "$(dirname "$0")/install_debian.sh" "install Python's headers by hand" python3-dev
headers || {
  echo "$python has no C headers (Python.h); on Debian: apt install python3-dev" >&2
  exit 1
}
command -v "${CXX:-g++}" >/dev/null || {
  echo "no C++ compiler (${CXX:-g++}); on Debian: apt install g++" >&2
  exit 1
}
