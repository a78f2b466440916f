package dashboard

import (
	"context"
	"net/http"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A starter is one way to send the first heartbeat of an app.
type starter struct {
	ID, Name, Code string
	Note           string // below the code
}

// starters returns the ways, the usual one first. at is the collector's address.
func starters(app, at string) []starter {
	fill := strings.NewReplacer("<app>", app, "<endpoint>", at).Replace
	return []starter{
		{"go", "Go", fill(startGo), "A Go program embeds the library. It reports once its operator agrees: this one asks at the terminal."},
		{"agent", "Agent", fill(startAgent), "A program in any other language runs the agent beside it. The operator decides, here with “rollcall enable”."},
		{"python", "Python", fill(startPython), "This sends a single heartbeat. A Python program talks to the agent: see examples/python/host.py."},
		{"curl", "curl", fill(startCurl), "This sends a single heartbeat. A program sends one a day through the library or agent, once its operator agreed."},
	}
}

const startGo = `package main

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall"
)

func main() {
	ctx := context.Background()
	service, err := rollcall.New(rollcall.Config{
		App: "<app>", Version: "v1.0.0", Endpoint: "<endpoint>",
		ConfigPath: "config.json", // keeps the ID, and telemetry.enabled
	})
	if err != nil {
		panic(err)
	}
	service.Start(ctx)
	defer service.Stop(ctx)
	service.AskConsent(ctx, rollcall.AskOptions{})
	fmt.Println(service.SendNow(ctx)) // once a day without it
}
`

const startAgent = `export ROLLCALL_APP=<app> ROLLCALL_HOST_VERSION=1.0.0 ROLLCALL_ENDPOINT=<endpoint>
rollcall enable   # the operator's decision
rollcall send     # a first heartbeat; the agent sends one a day
rollcall agent
`

const startPython = `import datetime, json, urllib.request, uuid

heartbeat = {
    "schema": 1, "app": "<app>", "version": "1.0.0",
    "installation_id": str(uuid.uuid4()), "id_persistence": "persisted",
    "sent_at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
}
request = urllib.request.Request("<endpoint>/v1/heartbeat", json.dumps(heartbeat).encode(),
                                 {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).status)
`

const startCurl = `curl --json '{"schema":1,"app":"<app>","installation_id":"'$(cat /proc/sys/kernel/random/uuid)'",` +
	`"id_persistence":"persisted","sent_at":"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'","version":"1.0.0"}' <endpoint>/v1/heartbeat
`

// firstHeartbeat replaces the empty panels of an app that has never counted
// anything by ways to send the first heartbeat. The page on data quality stays: it
// says why heartbeats are refused.
func (d *dashboard) firstHeartbeat(r *http.Request, v view, p *pageData) error {
	if v.sees.Public { // who sees no single report
		return nil
	}
	if reported, err := d.c.Reported(v.app.Num); err != nil || reported || v.page == "quality" || v.page == "audit" {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageWait)
	defer cancel()
	all, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.since, To: v.today}), v.sees)
	if err != nil {
		return err
	}
	for _, point := range all.Points {
		for _, f := range []figures.Count{point.Active.Day, point.Active.Days28, point.InMemory, point.Excluded} {
			if f == nil || *f > 0 {
				return nil
			}
		}
	}
	p.Start = starters(v.app.Key, d.site(r))
	p.Tiles, p.More, p.Choices, p.Panels, p.Events, p.Ranges, p.Changed, p.Compare = nil, nil, nil, nil, nil, nil, nil, nil
	return nil
}

// livePolicy also lets the page ask this site whether a heartbeat has come.
var livePolicy = strings.Replace(policy, "connect-src 'none'", "connect-src 'self'", 1)
