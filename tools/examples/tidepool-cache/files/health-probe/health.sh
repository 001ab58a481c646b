#!/bin/sh
# Answers 200 when the cache answers a PING, 503 otherwise. A cache that asks for a password is up.
host=${CACHE_HOST:-127.0.0.1}
port=${CACHE_PORT:-6379}
reply=$(printf 'PING\r\nQUIT\r\n' | timeout 3 nc -w 2 "$host" "$port" 2>/dev/null | head -n 1)
case $reply in
"+PONG"* | "-NOAUTH"*) status='200 OK' word=up ;;
*) status='503 Service Unavailable' word=down ;;
esac
printf 'Status: %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n' "$status"
printf '{"cache":"%s","host":"%s","port":"%s"}\n' "$word" "$host" "$port"
