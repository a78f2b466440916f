#!/bin/sh
# A host in shell that reports through the agent. It needs curl and jq.

ask() { # METHOD PATH [BODY]
    curl --fail-with-body --silent --show-error --max-time 10 --unix-socket "$ROLLCALL_SOCKET" --request "$1" \
        --header 'Content-Type: application/json' ${3:+--data "$3"} "http://localhost$2"
}

start() {
    ask PUT /v1/host '{"version": "1.2.3"}' >/dev/null || return
    ask PUT /v1/facts '{"store": "sqlite", "tls": true, "users": 42}' >/dev/null || return
    [ "$(ask GET /v1/consent | jq -r .telemetry.state)" = unset ] || return
    ask GET /v1/preview | jq -r '.fields[] | "\(.name) = \(.value) - \(.reason)"'
    echo 'Report this once a day, and codes of what fails? y or n:'
    read -r answer
    case $answer in
        y) ask POST /v1/consent '{"telemetry": true, "health": true}' >/dev/null ;;
        n) ask POST /v1/consent '{"telemetry": false, "health": false}' >/dev/null ;;
    esac
}

start # and go on without telemetry if that fails
if ! [ -e missing.db ]; then # the work of the host
    ask POST /v1/faults '{"source": "startup", "component": "storage", "reason": "open-failed"}' >/dev/null
fi
exit 0
