"""Reports as clients of the format do: a heartbeat, then a health report, once a day; only status 200 is success.

Prints one JSON list of [path, status, answer] for what it sent to the address in its first argument.
"""

import datetime
import hashlib
import http.client
import json
import platform
import sys
import urllib.parse
import uuid

base = urllib.parse.urlsplit(sys.argv[1])
results = []


def send(path, report):
    # A connection of its own for each report, as the clients have, and the header fields of their library.
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
    body = json.dumps(report, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    connection.request("POST", path, body, {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "Content-Type": "application/json",
        "User-Agent": "python-httpx/0.28.1",
    })
    response = connection.getresponse()
    results.append([path, response.status, json.loads(response.read())])
    connection.close()


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def sha256(*parts):
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


installation = str(uuid.uuid4())
system = {"system": platform.system(), "release": platform.release(), "machine": platform.machine()}
heartbeat = {
    "installation_id": installation,
    "timestamp": now(),
    "version": "2.15.1+abc1234",
    "platform": system,
    "configuration": {"model_type": "convnext_large", "llm_enabled": True, "llm_provider": "gemini",
                      "media_cache_enabled": True, "media_cache_clips": False, "auto_video_classification": False},
    "runtime": {"inference_health_status": "ok", "inference_health_total_runtimes": 3, "last_recovery_reason": None},
    "hardware": {"cuda_available": False, "openvino_gpu_compile_ok": None},
    "deployment": {"mode": "unknown", "image_flavor": "full", "image_arch": system["machine"], "app_branch": None, "git_hash": "abc1234"},
    "integrations": {"birdnet_enabled": True, "birdweather_enabled": False, "ebird_enabled": True, "inaturalist_enabled": False},
    "notifications": {"discord_enabled": True, "mode": "final"},
    "enrichment": {"mode": "per_enrichment", "summary_source": "wikipedia"},
    "access": {"auth_enabled": True, "public_access_enabled": False},
}
events = [sha256(installation, "event", str(n)) for n in range(3)]
health = {
    "schema_version": "2026-07-25.health-issues.v3",
    "report_id": sha256(installation, *events),
    "installation_id": installation,
    "timestamp": now(),
    "version": "2.15.1+abc1234",
    "platform": system,
    "runtime": {"model_type": "convnext_large"},
    "integrations": {"birdnet_enabled": True},
    "diagnostics_window": {"captured_at": now(), "total_events": 3, "severity_counts": {"error": 3}},
    "issues": [{
        "fingerprint": sha256("backend", "camera", "decode_failed", "")[:32],
        "source": "backend", "component": "camera", "reason_code": "decode_failed", "stage": None, "severity": "error",
        "count": len(events), "event_ids": events, "first_seen_at": now(), "last_seen_at": now(),
        "sample_context": {"attempt": 2, "reason": "Kamera hängt"},
    }],
}
send("/heartbeat", heartbeat)
send("/heartbeat", heartbeat)
send("/health-issues", health)
send("/health-issues", health)  # too early: once a minute
print(json.dumps({"installation": installation, "results": results}))
