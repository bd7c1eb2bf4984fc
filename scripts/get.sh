#!/usr/bin/env bash
# get.sh HOST:PORT PATH   the body of an HTTP answer, with bash alone; exit 1 where nobody answers.
set -euo pipefail
exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
sed '1,/^\r$/d' <&3
