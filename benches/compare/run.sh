#!/usr/bin/env bash
#
# Mockingbird beside its peers on this machine: builds or finds everything at pinned versions,
# measures in alternating rounds, and writes a table, a chart and the raw numbers.
#
#   benches/compare/run.sh [--smoke] [--cases LIST] [--out FOLDER]
#
#   --smoke         tiny sizes: shows in a minute or two that all of it works
#   --cases LIST    some of same,scrape,otlp,remote_write,capacity (default: all)
#   --out FOLDER    for the results (default: benches/compare/results)
#   --help          this text
#
# A full run takes about 25 minutes on two cores; let nothing else run meanwhile. Peers are
# built into ${XDG_CACHE_HOME:-~/.cache}/mockingbird/compare, servers into $MOCKINGBIRD_SERVERS
# (default: beside them); the release build of this checkout is measured, or $MOCKINGBIRD_BIN.
# Needed: Linux, Rust, Go 1.26, Python 3.11 with venv. avalanche is built if the Go module proxy
# has it, else an `avalanche` on PATH is taken, else its cells say "not available".
# Exit status: 0 measured, 1 something failed, 2 misuse or a missing tool.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

# ---- pinned versions ---------------------------------------------------------------------
# client_golang's is in peers/go/go.mod, prometheus_client's and numpy's in
# peers/python/requirements.txt, the servers' in tests/servers/install.sh.

telemetrygen=v0.161.0
avalanche=v0.7.0

# ---- arguments ---------------------------------------------------------------------------

say() { printf 'compare: %s\n' "$*"; }
misuse() {
  printf 'compare: error: %s\n' "$*" >&2
  exit 2
}

smoke=0
arguments=(--out "$here/results")
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --smoke)
      smoke=1
      arguments+=("$1")
      shift
      ;;
    --cases | --out)
      [ $# -ge 2 ] || misuse "$1 needs a value"
      if [ "$1" = --cases ]; then
        for name in ${2//,/ }; do
          case $name in
            same | scrape | otlp | remote_write | capacity) ;;
            *) misuse "there is no case '$name' (--help lists them)" ;;
          esac
        done
      fi
      arguments+=("$1" "$2")
      shift 2
      ;;
    *) misuse "unknown argument '$1' (--help lists them)" ;;
  esac
done

# ---- tools -------------------------------------------------------------------------------

[ "$(uname -s)" = Linux ] || misuse "memory and CPU are read from Linux's /proc"
command -v go >/dev/null || misuse "no 'go' on PATH; Go 1.26 or newer is needed"
go_version=$(go env GOVERSION)
[ "$(printf 'go1.26\n%s\n' "$go_version" | sort -V | head -n 1)" = go1.26 ] ||
  misuse "Go 1.26 or newer is needed, found $go_version"
command -v python3 >/dev/null || misuse "no 'python3' on PATH; Python 3.11 or newer is needed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  misuse "Python 3.11 or newer is needed, found $(python3 --version)"

# ---- peers -------------------------------------------------------------------------------

cache=${XDG_CACHE_HOME:-$HOME/.cache}/mockingbird
peers=$cache/compare
servers=${MOCKINGBIRD_SERVERS:-$cache/servers}
mkdir -p "$peers"
# Two at a time would measure each other.
exec 9>"$peers/lock"
flock --nonblock 9 || misuse "another run is under way"

# The stamp: what a program in the cache was built from.
is_built() { [ -e "$peers/$1" ] && [ "$(cat "$peers/$1.stamp" 2>/dev/null)" = "$2" ]; }

go_build() {
  (
    export GOBIN=$peers GOWORK=off GO111MODULE=on CGO_ENABLED=0 GOFLAGS='-buildvcs=false -trimpath'
    cd "$here/peers/go"
    go "$@"
  )
}

# Ours: the generator on client_golang, and the receiver that discards.
build_ours() {
  local name=$1 stamp
  stamp="client_golang $(sed -n 's/.*client_golang \(v[^ ]*\).*/\1/p' "$here/peers/go/go.mod")"
  [ "$name" = generator ] || stamp=discard
  stamp="$stamp, $go_version, $(cat "$here"/peers/go/go.* "$here/peers/go/$name/main.go" |
    sha256sum | head -c 12)"
  is_built "$name" "$stamp" && return
  say "building $name: $stamp"
  rm -f "$peers/$name.stamp"
  go_build build -ldflags '-s -w' -o "$peers/$name" "./$name"
  echo "$stamp" >"$peers/$name.stamp"
}

build_telemetrygen() {
  local stamp="$telemetrygen, $go_version"
  is_built telemetrygen "$stamp" && return
  say "building telemetrygen: $stamp"
  rm -f "$peers/telemetrygen.stamp"
  go_build install -ldflags '-s -w' \
    "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@$telemetrygen"
  echo "$stamp" >"$peers/telemetrygen.stamp"
}

# Not every proxy has it. That is asked once for a version; remove avalanche.refused to ask again.
build_avalanche() {
  local stamp="$avalanche, $go_version"
  is_built avalanche "$stamp" && return
  [ "$(cat "$peers/avalanche.refused" 2>/dev/null)" != "$avalanche" ] || return 0
  say "building avalanche: $stamp"
  rm -f "$peers/avalanche.stamp"
  if go_build install -ldflags "-s -w" \
    "github.com/prometheus-community/avalanche/cmd/avalanche@$avalanche" \
    >"$peers/avalanche.log" 2>&1; then
    echo "$stamp" >"$peers/avalanche.stamp"
  else
    say "no avalanche from the module proxy: $(tail -n 1 "$peers/avalanche.log")"
    # No answer at all is no refusal.
    ! grep -qE ': (403|404|410) ' "$peers/avalanche.log" || echo "$avalanche" >"$peers/avalanche.refused"
  fi
}

build_python() {
  local stamp
  stamp=$(tr '\n' ' ' <"$here/peers/python/requirements.txt")
  stamp="${stamp% }, $(python3 --version)"
  is_built python "$stamp" && return
  say "installing for Python: $stamp"
  rm -rf "$peers/python" "$peers/python.stamp"
  python3 -m venv "$peers/python"
  "$peers/python/bin/pip" install --quiet --disable-pip-version-check \
    -r "$here/peers/python/requirements.txt"
  echo "$stamp" >"$peers/python.stamp"
}

build_ours generator
build_ours discard
build_telemetrygen
[ $smoke -eq 1 ] || build_avalanche
build_python
MOCKINGBIRD_SERVERS=$servers "$root/tests/servers/install.sh" otelcol victoria-metrics

if [ -z "${MOCKINGBIRD_BIN:-}" ]; then
  say "building mockingbird"
  cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml"
  MOCKINGBIRD_BIN=${CARGO_TARGET_DIR:-$root/target}/release/mockingbird
  arguments+=(--commit "$(git -C "$root" describe --always --dirty 2>/dev/null || true)")
fi

# ---- run ---------------------------------------------------------------------------------

exec python3 -B "$here/measure.py" --mockingbird "$(realpath "$MOCKINGBIRD_BIN")" \
  --peers "$peers" --servers "$servers" "${arguments[@]}"
