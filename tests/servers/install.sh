#!/usr/bin/env bash
#
# Build the real metrics servers that the tests talk to, at pinned versions, from public
# Go modules into a cache folder. A second run finds them there and takes no time.
#
#   tests/servers/install.sh [NAME...]      default: all, as `known` below lists them
#
# The name `kubernetes` stands for a control plane, its clients and the tests' node: a
# quarter of an hour on two cores from nothing, and 6 GB of modules and build cache.
#
# The folder is $MOCKINGBIRD_SERVERS, else .cache/servers in the checkout. Beside each
# program lies NAME.stamp (the version it was built from) and NAME.log.
# Needs Go 1.26 or newer and a module proxy. Exit status 1 if a build failed, 2 for misuse.
#
# To add a server: its version, its name in known or kubernetes, a line in version_of and a
# function build_NAME that puts the program at $folder/NAME.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# ---- pinned versions ---------------------------------------------------------------------

prometheus_version=3.16.0
prometheus_module=v0.316.0 # Prometheus 3.x is the Go module v0.3xx
victoria_metrics_module=v0.0.0-20250718125606-9d9bea03485e
collector_module=v0.162.0        # the 0.x half of a release of the Collector,
collector_stable_module=v1.68.0  # and its 1.x half
compose_module=v2.16.2           # the loader that `docker compose` uses
buildkit_module=v0.34.2          # the parser that `docker build` uses
etcd_module=v3.6.14
kubernetes_module=v1.36.3
kubernetes_staging_module=v0.36.3 # what k8s.io/kubernetes has below staging/, as published
helm_module=v3.20.2
operator_module=v0.85.0 # the operator of Prometheus

known=(prometheus promtool otelcol victoria-metrics compose-check)
kubernetes=(
  etcd kube-apiserver kube-controller-manager kube-scheduler kubectl helm
  prometheus-kubernetes node-agent operator-definitions.yaml
)

# The stamp: what a program in the cache must have been built from.
version_of() {
  case $1 in
    prometheus | promtool) echo "$prometheus_module" ;;
    prometheus-kubernetes) echo "$prometheus_module, with kubernetes_sd" ;;
    victoria-metrics) echo "$victoria_metrics_module" ;;
    otelcol) echo "$collector_module, with $(sha256sum <"$here/otelcol.yaml" | head -c 12)" ;;
    compose-check)
      echo "$compose_module, $buildkit_module, $(sha256sum <"$here/compose_check.go" | head -c 12)"
      ;;
    etcd) echo "$etcd_module" ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubectl) echo "$kubernetes_module" ;;
    helm) echo "$helm_module" ;;
    operator-definitions.yaml) echo "$operator_module" ;;
    node-agent)
      echo "$kubernetes_staging_module, $(cat "$here"/kubernetes/*.go | sha256sum | head -c 12)"
      ;;
    *) return 1 ;;
  esac
}

# ---- recipes: each runs in a scratch folder of its own -----------------------------------

# The tag leaves out the cloud discoveries, which are most of the dependencies; static and
# file discovery stay. There is no web page: its assets aren't part of the module.
build_prometheus() {
  go install -tags remove_all_sd \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=$prometheus_version" \
    "github.com/prometheus/prometheus/cmd/${1:-prometheus}@$prometheus_module"
}

build_promtool() { build_prometheus promtool; }

# A program of its own: with the client of Kubernetes it is half as large again.
build_prometheus-kubernetes() {
  GOBIN=$PWD go install -tags remove_all_sd,enable_kubernetes_sd -ldflags "-s -w" \
    "github.com/prometheus/prometheus/cmd/prometheus@$prometheus_module"
  mv prometheus "$folder/prometheus-kubernetes"
}

# `go install` refuses a module whose go.mod replaces others, so it is built from a module
# of our own that starts with its requirements and replacements.
build_victoria-metrics() {
  local module=github.com/VictoriaMetrics/VictoriaMetrics source
  go mod download "$module@$victoria_metrics_module"
  source=$(go list -m -f '{{.Dir}}' "$module@$victoria_metrics_module")
  install -m 644 "$source/go.mod" "$source/go.sum" .
  go mod edit -module=servers.invalid/build -require="$module@$victoria_metrics_module"
  go build -mod=mod -ldflags "-s -w" -o "$folder/victoria-metrics" "$module/app/victoria-metrics"
}

# The Collector's builder writes main.go and components.go from a list of components. Their
# requirements are resolved here rather than by the builder, whose `go mod tidy` also wants
# what only the tests of dependencies use.
build_otelcol() {
  local core=go.opentelemetry.io/collector
  local components
  sed -e "s/@VERSION@/${collector_module#v}/" -e "s/@MODULE@/$collector_module/" \
    -e "s/@STABLE@/$collector_stable_module/" "$here/otelcol.yaml" >manifest.yaml
  GOBIN=$PWD go install "$core/cmd/builder@$collector_module"
  ./builder --config manifest.yaml --skip-compilation --skip-get-modules
  mapfile -t components < <(sed -n 's/^  - gomod: \([^ ]*\) \(v[^ ]*\)$/\1@\2/p' manifest.yaml)
  cd source
  go mod init servers.invalid/otelcol
  go get "$core/otelcol@$collector_module" "${components[@]}"
  go build -mod=mod -ldflags '-s -w' -o "$folder/otelcol" .
}

# No server: it reads compose files and Dockerfiles as Docker does.
build_compose-check() {
  install -m 644 "$here/compose_check.go" main.go
  go mod init servers.invalid/compose-check
  go get "github.com/compose-spec/compose-go/v2@$compose_module" \
    "github.com/moby/buildkit/frontend/dockerfile/parser@$buildkit_module"
  go build -mod=mod -ldflags '-s -w' -o "$folder/compose-check" .
}

build_etcd() {
  go mod init servers.invalid/build
  go get "go.etcd.io/etcd/server/v3@$etcd_module"
  go build -mod=mod -ldflags '-s -w' -o "$folder/etcd" go.etcd.io/etcd/server/v3
}

# As VictoriaMetrics; what the repository has below staging/ is published as modules too. The
# version is told to the linker: clients ask for it.
build_kubernetes() {
  local module=k8s.io/kubernetes source version=k8s.io/component-base/version
  go mod download "$module@$kubernetes_module"
  source=$(go list -m -f '{{.Dir}}' "$module@$kubernetes_module")
  sed "s|=> ./staging/src/\(.*\)|=> \1 $kubernetes_staging_module|" "$source/go.mod" >go.mod
  install -m 644 "$source/go.sum" .
  go mod edit -module=servers.invalid/build -require="$module@$kubernetes_module"
  go build -mod=mod -o "$folder/$1" \
    -ldflags "-s -w -X $version.gitVersion=$kubernetes_module -X $version.gitMajor=1 \
      -X $version.gitMinor=$(cut -d . -f 2 <<<"$kubernetes_module")" "$module/cmd/$1"
}

build_kube-apiserver() { build_kubernetes kube-apiserver; }
build_kube-controller-manager() { build_kubernetes kube-controller-manager; }
build_kube-scheduler() { build_kubernetes kube-scheduler; }
build_kubectl() { build_kubernetes kubectl; }

# `helm template` takes its cluster to be as new as the client that it is built with.
build_helm() {
  local capabilities=helm.sh/helm/v3/pkg/chartutil
  go install -ldflags "-s -w -X $capabilities.k8sVersionMajor=1 -X $capabilities.k8sVersionMinor=35" \
    "helm.sh/helm/v3/cmd/helm@$helm_module"
}

# No program: what the operator of Prometheus has the API server check of its objects.
build_operator-definitions.yaml() {
  local module=github.com/prometheus-operator/prometheus-operator source kind
  go mod download "$module@$operator_module"
  source=$(go list -m -f '{{.Dir}}' "$module@$operator_module")
  for kind in podmonitors servicemonitors scrapeconfigs; do
    echo ---
    cat "$source/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml"
  done >"$folder/operator-definitions.yaml"
}

# The node of the tests: kubernetes/main.go tells what it does.
build_node-agent() {
  install -m 644 "$here"/kubernetes/*.go .
  [ -z "$(gofmt -l .)" ]
  go mod init servers.invalid/node-agent
  go get "k8s.io/client-go@$kubernetes_staging_module" "k8s.io/api@$kubernetes_staging_module" \
    "k8s.io/apimachinery@$kubernetes_staging_module"
  go vet -mod=mod .
  go build -mod=mod -ldflags '-s -w' -o "$folder/node-agent" .
}

# ---- run ---------------------------------------------------------------------------------

say() { printf 'servers: %s\n' "$*"; }
misuse() {
  printf 'servers: error: %s\n' "$*" >&2
  exit 2
}

[ $# -gt 0 ] || set -- "${known[@]}"
names=()
for name; do
  if [ "$name" = kubernetes ]; then names+=("${kubernetes[@]}"); else names+=("$name"); fi
done
set -- "${names[@]}"
for name; do
  version_of "$name" >/dev/null || misuse "there is no recipe for '$name'"
done

folder=${MOCKINGBIRD_SERVERS:-$here/../../.cache/servers}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mockingbird-servers.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

require_go() {
  local version
  command -v go >/dev/null || misuse "no 'go' on PATH; Go 1.26 or newer is needed"
  version=$(go env GOVERSION)
  [ "$(printf 'go1.26\n%s\n' "$version" | sort -V | head -n 1)" = go1.26 ] ||
    misuse "Go 1.26 or newer is needed, found $version"
}

# Runs one recipe; its exit status is the recipe's. `set -e` doesn't hold inside a function
# that is the condition of an `if`, so a shell of its own runs it.
build() {
  mkdir "$scratch/$1"
  (
    set -e
    cd "$scratch/$1"
    export GOBIN=$folder GOWORK=off GO111MODULE=on CGO_ENABLED=0 GOFLAGS='-buildvcs=false -trimpath'
    "build_$1"
  ) >"$folder/$1.log" 2>&1 &
  wait $!
}

failed=()
for name; do
  version=$(version_of "$name")
  if [ -e "$folder/$name" ] && [ "$(cat "$folder/$name.stamp" 2>/dev/null)" = "$version" ]; then
    say "$name $version is there"
    continue
  fi
  require_go
  say "$name $version: building with $(go env GOVERSION)"
  began=$SECONDS
  rm -f "$folder/$name.stamp"
  if build "$name"; then
    printf '%s\n' "$version" >"$folder/$name.stamp"
    say "$name $version: built in $((SECONDS - began)) s"
  else
    failed+=("$name")
    say "$name $version: FAILED after $((SECONDS - began)) s; the end of $folder/$name.log:" >&2
    grep -v '^go: downloading' "$folder/$name.log" | tail -n 12 >&2 || true
  fi
done
[ ${#failed[@]} -eq 0 ] || exit 1
