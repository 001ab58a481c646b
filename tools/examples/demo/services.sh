# The servers of the demo, and how it speaks. Sourced by demo.sh. Every server listens on a port the
# kernel picks, logs to its own file in $work, and is ended by its process id when the demo ends.

say() { printf '%s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
failed() { die "exit code $1: that command failed, so the journey ends here"; }
run() {
    printf '$ %s\n' "$*"
    "$@" || failed $?
}
# run_to FILE COMMAND...: the result goes to $work/FILE, progress stays on the screen.
run_to() {
    printf '$ %s > %s\n' "${*:2}" "$work/$1"
    "${@:2}" >"$work/$1" || {
        set -- $? "$1"
        cat "$work/$2" >&2
        failed "$1"
    }
}

work=
pids=()
make_work_folder() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/wharf-demo.XXXXXX")
    mkdir -p "$work/pulled"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# The last started ends first, so that nobody talks to a server that is gone.
clean_up() {
    local at pid
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        pid=${pids[at]}
        kill "$pid" 2>/dev/null || continue
        ended_within "$pid" 100 || kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$keep" ]; then
        say "kept: $work"
    else
        rm -rf "$work"
    fi
}

# ended_within PID TENTHS
ended_within() {
    local left=$2
    while kill -0 "$1" 2>/dev/null && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    ! kill -0 "$1" 2>/dev/null
}

# start NAME COMMAND...: in the background, with everything it says in $work/NAME.log. It is told to
# end even when this script is killed without a chance to clean up.
start() {
    local name=$1
    shift
    printf '$ %s &\n' "$*"
    : >"$work/$name.log"
    setpriv --pdeathsig TERM -- "$@" >"$work/$name.log" 2>&1 &
    pids+=($!)
}

# listening NAME PATTERN: waits for "PATTERN ADDRESS" in the log of NAME and prints ADDRESS.
listening() {
    local name=$1 pattern=$2 pid=${pids[-1]} tenths address
    for ((tenths = 0; tenths < 200; tenths++)); do
        address=$(sed -nE "s/.*$pattern([0-9.]+:[0-9]+).*/\\1/p" "$work/$name.log" | head -n 1)
        [ -z "$address" ] || { printf '%s\n' "$address" && return; }
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    sed 's/^/  /' "$work/$name.log" >&2
    die "$name did not start listening; its log stands above"
}

start_registry() {
    cat >"$work/registry.yml" <<CONFIG
version: 0.1
log: { level: info }
storage:
  filesystem: { rootdirectory: $work/registry }
  delete: { enabled: true }
http: { addr: "127.0.0.1:0" }
CONFIG
    start registry docker-registry serve "$work/registry.yml"
    backing=$(listening registry 'listening on ')
}

# Nothing passes the double without logging in; only wharfd is told the password.
start_double() {
    ACR_DOUBLE_PASSWORD=$(head -c 18 /dev/urandom | base64)
    export ACR_DOUBLE_PASSWORD
    start double acr-double --backing "http://$backing" --username quayline
    upstream=$(listening double '"addr":"')
}

start_wharfd() {
    cat >"$work/wharfd.toml" <<CONFIG
listen = "127.0.0.1:0"
store = "$work/store"

[[upstream]]
url = "http://$upstream"
username = "quayline"
password_env = "ACR_DOUBLE_PASSWORD"
CONFIG
    start wharfd wharfd serve --config "$work/wharfd.toml"
    proxy=$(listening wharfd 'listening on ')
}

# dockerd is the one server that a machine may not be able to run; then this says why and goes on.
start_dockerd() {
    local tenths command
    for command in dockerd docker; do
        command -v $command >/dev/null || { say "skipped: $command is not installed" && return 1; }
    done
    [ "$(id -u)" -eq 0 ] || { say "skipped: dockerd needs root" && return 1; }
    export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/docker-config
    start dockerd dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
        --data-root "$work/docker" --exec-root "$work/docker-exec" \
        --pidfile "$work/docker.pid" --host "$DOCKER_HOST"
    for ((tenths = 0; tenths < 200; tenths++)); do
        docker version >/dev/null 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    say "skipped: dockerd does not run here: $(tail -n 1 "$work/dockerd.log")"
    return 1
}

# Pull a promoted image, run it, push it under another name, forget it, pull it again: it is the
# same image, and the registry behind the proxy holds what Docker pushed.
docker_round_trip() {
    local tag image name=staging/tidepool/from-docker copy pulled again
    docker_answer=skipped
    start_dockerd || return 0
    tag=$(version cache-server)
    image=$proxy/$(repository cache-server destination):$tag
    copy=$proxy/$name:$tag
    run docker pull --quiet "$image"
    pulled=$(docker image inspect --format '{{.Id}}' "$image")
    run docker run --rm --network none "$image" --version
    run docker tag "$image" "$copy"
    run docker push --quiet "$copy"
    run_to removed docker rmi --force "$pulled"
    run docker pull --quiet "$copy"
    again=$(docker image inspect --format '{{.Id}} {{index .RepoDigests 0}}' "$copy")
    cell "$pulled ${copy%:*}@$(held "$name" "$tag")" "$again"
    docker_answer=$answer
}
