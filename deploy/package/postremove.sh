#!/bin/sh
# The data stays, even after a purge: /var/lib/rollcall holds the ID and the operator's decisions, and /var/lib/rollcall-collector
# what was counted and the key that it cannot be read without. The users stay, because the files belong to them.
set -e

[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
