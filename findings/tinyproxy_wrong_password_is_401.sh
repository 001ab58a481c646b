#!/usr/bin/env bash
# Debian 12 tinyproxy 1.11.1 with BasicAuth: a request without credentials is 407 with Proxy-Authenticate, as it should be; one with a
# WRONG Proxy-Authorization is 401 with WWW-Authenticate, as if the server behind had answered.
#
# Expected: RFC 9110 section 15.5.8 and 11.7.1: a proxy that lacks valid credentials answers 407 and Proxy-Authenticate; 401 and
# WWW-Authenticate are the origin server's.
# Why it matters: registries ask for a login by 401 and WWW-Authenticate. Behind this proxy a wrong proxy password looks like the
# registry's own refusal; the script shows what Go crane 0.22.1 tells its user.
set -euo pipefail
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq tinyproxy-bin=1.11.1-2.1+deb12u1
dpkg -x tinyproxy-bin_*.deb root
GOBIN=$work/bin go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 2>/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >proxy.conf <<CONF
Port $port
Listen 127.0.0.1
Allow 127.0.0.1
BasicAuth user right
LogLevel Critical
CONF
root/usr/bin/tinyproxy -d -c proxy.conf >log 2>&1 &
proxy=$!
for _ in $(seq 50); do curl -s -o /dev/null "http://127.0.0.1:$port" && break; sleep 0.1; done
root/usr/bin/tinyproxy -v
ask() { curl -s -o /dev/null -D- --noproxy '' -x "http://$1127.0.0.1:$port" http://127.0.0.1:1/v2/ | tr -d '\r' | grep -iE '^HTTP|authenticate' | cut -d' ' -f1,2 | tr '\n' ' '; }
without=$(ask '') wrong=$(ask 'user:wrong@')
echo "  without credentials: $without| wrong credentials: $wrong"
mkdir docker
# A name, not 127.0.0.1, for which Go would go round the proxy; it is never looked up.
DOCKER_CONFIG=$work/docker HTTP_PROXY=http://user:wrong@127.0.0.1:$port bin/crane ls --insecure registry.invalid:80/app >crane.txt 2>&1 || true
echo "  crane v0.22.1: $(head -1 crane.txt | cut -c1-160)"
[ "$without" = 'HTTP/1.0 407 Proxy-Authenticate: Basic ' ] && [ "$wrong" = 'HTTP/1.0 401 WWW-Authenticate: Basic ' ]
