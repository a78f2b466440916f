#!/usr/bin/env bash
# Makes the store that is kept of a release, with the program of that release:
#
#   cmd/internal/test/compat/testdata/make.sh PROGRAM VERSION
#
# It leaves testdata/VERSION.tar.gz: the data directory of a collector that was killed, with every kind of record and with a
# journal, and in figures/ what the program said of it. See docs/compatibility.md.
set -euo pipefail

program=$(realpath "$1") version=$2
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'kill -9 "${collector:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export ROLLCALL_COLLECTOR_DATA_DIR=data TZ=UTC
collector() { "$program" collector "$@"; }

# serve starts the collector and sets $url. The loops below wait for what happens for as long as it takes.
serve() {
    "$program" collector serve --listen 127.0.0.1:0 2>>log &
    collector=$!
    until url=http://$(grep 'Collector serves' log | tail -1 | sed -n 's/.*address=\([^ ]*\).*/\1/p') && curl -fsS "$url/readyz" >/dev/null 2>&1; do
        kill -0 "$collector"
        sleep 0.1
    done
}

post() { # PATH BODY
    curl -fsS -H 'Content-Type: application/json' -d "$2" "$url$1" >/dev/null
}

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
heartbeat() { # APP ID PERSISTENCE VERSION [FACTS]
    post /v1/heartbeat "{\"schema\":1,\"app\":\"$1\",\"installation_id\":\"$2\",\"id_persistence\":\"$3\",\"sent_at\":\"$now\",\"version\":\"$4\",\"client\":{\"name\":\"rollcall\",\"version\":\"0.1\"},\"platform\":{\"system\":\"linux\",\"machine\":\"x86_64\"},\"facts\":${5:-{\}}}"
}
id() { printf '9f14e45f-ceea-467f-9575-5a2b5d1f3%03d' "$1"; }

# Six weeks of a fleet with faults, forgeries, and releases; then what a maintainer decides.
"$program" simulate --installations 60 --days 45 --forged 3 --app demo --data-dir data --but-today >/dev/null
cat >facts.json <<'F'
{"facts": [
  {"name": "tls", "type": "bool", "reason": "shows whether plain connections can be dropped"},
  {"name": "store", "type": "enum", "values": ["sqlite", "postgres"], "reason": "shows which database to test most"},
  {"name": "users", "type": "buckets", "bounds": [1, 10, 100], "reason": "shows for how many users to design"}
]}
F
{
    collector app set demo --public --exclude-development
    collector app declare demo --facts facts.json --releases 2.0.0=2026-05-06
    collector app refuse-id demo 8f14e45f-ceea-467f-9575-5a2b5d1f3c11
    collector release set demo stable 2.1.0 --url https://example.com/2.1.0 --severity security
    collector app add birds --legacy --name 'Birds'
    collector token add me --admin
    collector token add ci --app demo --release
} >/dev/null

# Today's reports, until a checkpoint. Installations in memory, under development, and of two senders each have records of
# their own, and so has what was turned away.
serve
heartbeat demo "$(id 1)" persisted 2.0.0 '{"tls":true,"store":"sqlite","users":"10-99"}'
heartbeat demo "$(id 2)" memory 2.0.0
heartbeat demo "$(id 3)" persisted 2.1.0-dev
heartbeat birds "$(id 4)" persisted 1.0.0
post /heartbeat "{\"installation_id\":\"$(id 4)\",\"timestamp\":\"$now\",\"version\":\"1.0.0\",\"configuration\":{\"model_type\":\"cropped\"}}"
post /v1/health "{\"schema\":1,\"app\":\"demo\",\"installation_id\":\"$(id 1)\",\"id_persistence\":\"persisted\",\"sent_at\":\"$now\",\"version\":\"2.0.0\",\"faults\":[{\"source\":\"log\",\"component\":\"storage\",\"reason\":\"disk-full\",\"severity\":\"error\",\"count\":3,\"since\":\"$now\",\"first\":\"$now\",\"last\":\"$now\"}]}"
for n in $(seq 10 29); do # more new names than one address may bring
    facts=
    for name in $(seq 1 15); do facts+=",\"f$n.n$name\":\"v$name\""; done
    heartbeat demo "$(id "$n")" persisted "1.$n.0" "{${facts#,}}"
done
kill -TERM "$collector"
wait "$collector"

# The past of an app that has reports already.
for day in 3 2; do
    day=$(date -u -d "$day days ago" +%F)
    echo "{\"day\":\"$day\",\"country\":\"GB\",\"heartbeat\":{\"schema\":1,\"app\":\"birds\",\"installation_id\":\"$(id 5)\",\"id_persistence\":\"persisted\",\"sent_at\":\"${day}T10:00:00Z\",\"version\":\"0.9.0\"}}"
done >history.jsonl
collector import birds history.jsonl --from history >/dev/null

# What came after the checkpoint is only in the journal: the collector is killed.
serve
heartbeat demo "$(id 30)" persisted 2.0.0 '{"tls":false}'
curl -fsS "$url/v1/installations/$(id 1)" >installation.json
kill -9 "$collector"
wait "$collector" 2>/dev/null || true
mkdir -p figures
cp installation.json figures/
cp -r data kept
rm -f data/rollcall.control kept/rollcall.control

# What the program says of it, from a copy.
collector export demo >figures/demo.jsonl
collector app list --json >figures/apps.json
collector token list --json >figures/tokens.json
collector release list demo --json >figures/releases.json
collector app refused-ids demo --json >figures/refused.json
collector check
rm -rf data && mv kept data
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime='2026-01-01' -czf "$here/$version.tar.gz" data figures
ls -l "$here/$version.tar.gz"
