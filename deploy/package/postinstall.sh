#!/bin/sh
# After an installation or an upgrade: the users, and running services get the new program. Nothing is enabled: whether this
# machine has an agent or a collector is the administrator's decision.
set -e

add_user() {
    getent passwd "$1" >/dev/null || useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin "$1"
}
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers rollcall.conf
else
    add_user rollcall-agent /var/lib/rollcall
    add_user rollcall-collector /var/lib/rollcall-collector
fi

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    for unit in rollcall-agent.service 'rollcall-agent@*.service' rollcall-collector.service; do
        systemctl try-restart "$unit" || true
    done
fi
