#!/bin/sh
# Before a removal, and not before an upgrade, the services are stopped and disabled. dpkg passes "remove", rpm the number of
# versions that stay.
set -e

case "$1" in
remove | 0)
    if command -v systemctl >/dev/null; then
        now=
        [ ! -d /run/systemd/system ] || now=--now
        systemctl disable $now rollcall-agent.service rollcall-collector.service || true
        for link in /etc/systemd/system/*.wants/rollcall-agent@*.service; do
            [ ! -L "$link" ] || systemctl disable $now "$(basename "$link")" || true
        done
    fi
    ;;
esac
