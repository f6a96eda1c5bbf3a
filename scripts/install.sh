#!/usr/bin/env bash
# Installs the locked packages into .venv: torch first, with what it needs on this machine, then requirements.lock.
# uv does it in seconds; where uv is not to be had or fails, pip does the same in minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
pip=("$python" -m pip --disable-pip-version-check)
torch=$(grep '^torch==' requirements.lock)

# uv does not read pip's settings: hands one on, from the environment or from pip's configuration files.
hand_on() { # pip's name, uv's variable, what separates values for uv
  local variable=PIP_${1^^} value
  variable=${variable//-/_}
  value=${!variable:-$("${pip[@]}" config get "global.$1" 2>/dev/null || true)}
  read -ra values <<<"${value//$'\n'/ }"
  if [ "${#values[@]}" -gt 0 ] && [ -z "${!2:-}" ]; then
    export "$2=$(IFS=$3; printf '%s' "${values[*]}")"
  fi
}

with_uv() {
  "${pip[@]}" install --quiet uv || return 1
  hand_on index-url UV_DEFAULT_INDEX ' '
  hand_on extra-index-url UV_INDEX ' '
  hand_on find-links UV_FIND_LINKS ,
  hand_on trusted-host UV_INSECURE_HOST ' '
  hand_on cert SSL_CERT_FILE ' '
  hand_on default-timeout UV_HTTP_TIMEOUT ' '
  hand_on no-index UV_NO_INDEX ' '
  # pip takes the best version of all indexes, uv by default that of the first index that knows the package.
  export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}
  local install=(.venv/bin/uv pip install --quiet --python "$python")
  echo "installing $torch with what it needs"
  "${install[@]}" "$torch" || return 1
  echo "installing requirements.lock, $(grep -c == requirements.lock) packages"
  "${install[@]}" --override requirements.override -r requirements.lock
}

with_pip() {
  "${pip[@]}" install "$torch" && "${pip[@]}" install --no-deps -r requirements.lock
}

with_uv || {
  echo "uv could not install the packages; plain pip does it now, which takes some minutes" >&2
  with_pip
}
