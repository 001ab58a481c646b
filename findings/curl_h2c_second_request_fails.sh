#!/usr/bin/env bash
# Debian 12 curl 7.88.1: several URLs of one plain-text HTTP/2 server in one call with --http2-prior-knowledge: the first is 200, every
# other one is "(16) Error in the HTTP2 framing layer", one after the other as well as with --parallel. One call per URL, or
# --parallel-immediate, works.
#
# Expected: RFC 9113 section 3.3 and 3.4: with prior knowledge the client begins EACH connection with the preface; further
# requests go on the same connection.
# Why it matters: scripts that fetch the blobs of an image in one call of curl from a registry behind a plain HTTP/2 proxy get one of
# them, and the fault is looked for in the server. The server here is Debian's nginx 1.22.1 at 127.0.0.1.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq curl=7.88.1-10+deb12u15 libcurl4=7.88.1-10+deb12u15 nginx=1.22.1-9+deb12u11
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu
curl() { command "$work/root/usr/bin/curl" -sS "$@"; }
curl --version | head -1
root/usr/sbin/nginx -v
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir www temp
for number in 1 2 3 4; do head -c 3000 /dev/zero >www/$number; done
cat >nginx.conf <<CONF
daemon off; master_process off; pid $work/pid; error_log $work/error.log info;
events {}
http {
  access_log off;
  client_body_temp_path $work/temp/1; proxy_temp_path $work/temp/2; fastcgi_temp_path $work/temp/3;
  uwsgi_temp_path $work/temp/4; scgi_temp_path $work/temp/5;
  server { listen 127.0.0.1:$port http2; root $work/www; }
}
CONF
chmod 755 "$work"
root/usr/sbin/nginx -p "$work" -c nginx.conf 2>/dev/null &
server=$!
api=http://127.0.0.1:$port
for _ in $(seq 50); do curl -f -o /dev/null --http2-prior-knowledge "$api/1" 2>/dev/null && break; sleep 0.1; done

urls=()
for number in 1 2 3 4; do urls+=(-o /dev/null "$api/$number"); done
try() { curl --http2-prior-knowledge -w '%{http_code}\n' "$@" 2>>errors | grep -E '^[0-9]{3}$' | sort | tr '\n' ' '; }
single=
for number in 1 2 3 4; do single="$single$(try -o /dev/null "$api/$number")"; done
serial=$(try "${urls[@]}" || true)
parallel=$(try --parallel "${urls[@]}" || true)
immediate=$(try --parallel --parallel-immediate "${urls[@]}")
echo "  one call each: $single| one call: $serial| --parallel: $parallel| --parallel-immediate: $immediate"
grep -ho 'curl: .*' errors | sort | uniq -c
[ "$single" = "200 200 200 200 " ] && [ "$immediate" = "200 200 200 200 " ]
[ "$serial" = "000 000 000 200 " ] && [ "$parallel" = "000 000 000 200 " ]
