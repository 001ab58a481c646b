#!/usr/bin/env bash
# Fills build/rootfs/PLAN/ARCH/LAYER from Debian packages, for every platform of offer.yaml.
# Works as root and as a normal user, on any Debian machine: apt runs on a private root below
# build/, so the machine's own architectures, sources and package lists stay as they are.
# apt checks every package against the signed release files. A second run does nothing.
#
#   fetch.sh            fetch what is missing
#   fetch.sh --force    fetch and unpack again (new package versions)
set -euo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")"

suite=bookworm
architectures=(amd64 arm64)
build=$PWD/build
root=$build/apt
say() { printf 'fetch: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# What was fetched is right for exactly this recipe and these files of ours.
recipe() { cat fetch.sh && find files -type f -print0 | sort -z | xargs -0 cat; }
wanted=$(recipe | sha256sum | cut -d' ' -f1)
found=$(cat "$build/rootfs/.stamp" 2>/dev/null || true)
if [ "${1:-}" != --force ] && [ "$found" = "$wanted" ]; then
    say "build/rootfs is complete"
    exit 0
fi
for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" >/dev/null ||
        die "$tool is missing: this example is built from Debian packages, run it on Debian"
done

# The mirrors this machine uses for Debian itself; other vendors' sources are left out. Asking apt
# what it would read works for every way to write sources, and before the first update.
debian_mirrors() {
    apt-get update --print-uris 2>/dev/null |
        sed -nE "s#^'([a-z+]+:[^']*/debian(-security)?(\.list)?)/dists/.*#\1#p"
}

write_sources() {
    local mirror of_suite
    debian_mirrors | sort -u | while read -r mirror; do
        case "$mirror" in
        *security*) of_suite=$suite-security ;;
        *) of_suite=$suite ;;
        esac
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$of_suite"
    done >"$root/etc/sources.list"
    [ -s "$root/etc/sources.list" ] ||
        die "no Debian mirror among this machine's apt sources (see /etc/apt/sources.list.d)"
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || die "$keyring is missing: apt-get install debian-archive-keyring"
rm -rf "$root/debs"
mkdir -p "$root"/{etc,state/lists/partial,cache/archives/partial,debs}
: >>"$root/state/status"
write_sources
cat >"$root/apt.conf" <<CONF
Dir::State "$root/state";
Dir::State::status "$root/state/status";
Dir::Cache "$root/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::SourceList "$root/etc/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Architecture "${architectures[0]}";
APT::Architectures { $(printf '"%s"; ' "${architectures[@]}") };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
# Read after the machine's own settings, so those for a proxy stay and these win.
private() { "$1" -c "$root/apt.conf" "${@:2}"; }

# The package and every library below it. What a Debian machine needs to *manage* a service
# (adduser, init scripts, procps) is not needed to run it in a container.
closure() {
    local arch=$1 seen=" " round next depends package
    shift
    round=("$@")
    while [ ${#round[@]} -gt 0 ]; do
        seen+="${round[*]} "
        next=()
        depends=$(private apt-cache depends --important "${round[@]/%/:$arch}" |
            sed -nE 's/^ +(Pre)?Depends: ([a-z0-9.+-]+)(:[a-z0-9]+)?$/\2/p' | sort -u)
        for package in $depends; do
            case "$package" in lib* | lua-* | gcc-*-base) ;; *) continue ;; esac
            case "$seen" in *" $package "*) ;; *) next+=("$package") ;; esac
        done
        round=(${next[@]+"${next[@]}"})
    done
    printf '%s\n' $seen | sort -u
}

# download ARCH PACKAGE...: into build/apt/debs, checked against the signed lists.
download() {
    local arch=$1
    shift
    (cd "$root/debs" && private apt-get download -qq "${@/%/:$arch}")
}

# unpack ARCH FOLDER PACKAGE...: files, and the control data from which scanners know the package.
unpack() {
    local arch=$1 into=$2 package deb
    shift 2
    mkdir -p "$into/var/lib/dpkg/status.d"
    for package; do
        deb=$(find "$root/debs" -name "${package}_*_${arch}.deb" -o -name "${package}_*_all.deb")
        [ -f "$deb" ] || die "expected one package $package for $arch, found '$deb'"
        dpkg-deb -x "$deb" "$into"
        { dpkg-deb -f "$deb" | sed '1a Status: install ok installed'; } \
            >"$into/var/lib/dpkg/status.d/$package"
    done
    chmod -R u+rwX,go+rX "$into"
}

# identity ARCH FOLDER USER: who is in the container, and which Debian it is made of.
identity() {
    local arch=$1 into=$2 user=$3
    mkdir -p "$into"/{etc,usr/lib,root}
    install -d -m 1777 "$into/tmp"
    {
        printf 'root:x:0:0:root:/root:/usr/sbin/nologin\n'
        printf '%s:x:999:999::/nonexistent:/usr/sbin/nologin\n' "$user"
    } >"$into/etc/passwd"
    printf 'root:x:0:\n%s:x:999:\n' "$user" >"$into/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$into/etc/nsswitch.conf"
    unpack "$arch" "$work/base-files" base-files
    cp "$work/base-files/usr/lib/os-release" "$into/usr/lib/os-release"
    cp "$work/base-files/etc/debian_version" "$into/etc/debian_version"
    ln -s ../usr/lib/os-release "$into/etc/os-release"
    rm -rf "$work/base-files"
}

notice() {
    install -D -m 644 "files/$1/NOTICE" "$2/usr/share/doc/tidepool/NOTICE"
}

cache_server() {
    local arch=$1 into=$work/rootfs/cache-server/$1 all libraries programs
    local of_redis='^(redis-|lua-|liblua|liblzf|libhiredis|libjemalloc)'
    all=$(closure "$arch" redis-server redis-tools)
    libraries=$(grep -vE "$of_redis" <<<"$all")
    programs=$(grep -E "$of_redis" <<<"$all")
    download "$arch" base-files $all
    unpack "$arch" "$into/base" $libraries
    identity "$arch" "$into/base" tidepool
    unpack "$arch" "$into/app" $programs
    install -D -m 644 files/cache-server/tidepool.conf "$into/app/etc/tidepool/tidepool.conf"
    install -d -m 755 "$into/app/etc/tidepool/conf.d"
    notice cache-server "$into/app"
    install -d -m 750 "$into/data"
}

health_probe() {
    local arch=$1 into=$work/rootfs/health-probe/$1 applet
    download "$arch" base-files busybox-static
    unpack "$arch" "$into/base" busybox-static
    for applet in cat date env grep head httpd ls nc printf sh sleep timeout wget; do
        ln -s busybox "$into/base/bin/$applet"
    done
    identity "$arch" "$into/base" probe
    install -D -m 644 files/health-probe/index.html "$into/app/srv/www/index.html"
    install -D -m 755 files/health-probe/health.sh "$into/app/srv/www/cgi-bin/health"
    notice health-probe "$into/app"
}

say "reading the package lists of $suite for ${architectures[*]}"
private apt-get update -qq || die "apt could not read the mirrors named in $root/etc/sources.list"
rm -rf "$build/work" "$build/rootfs"
work=$build/work
mkdir -p "$work"
for arch in "${architectures[@]}"; do
    say "unpacking for $arch"
    cache_server "$arch"
    health_probe "$arch"
done
printf '%s\n' "$wanted" >"$work/rootfs/.stamp"
mv "$work/rootfs" "$build/rootfs"
rm -rf "$work"
say "build/rootfs is complete"
