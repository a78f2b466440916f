package agent

import (
	"flag"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/openapi"
	"github.com/rollcall-dev/rollcall/report"
)

var update = flag.Bool("update", false, "update openapi.json")

// operations describe each route: what it is for, and the types of its body and
// its answer, if they are JSON.
var operations = map[string]struct {
	summary      string
	body, answer any
	operator     bool // only the operator may
}{
	"GET " + PathInstallation: {"The installation ID, once it is settled. The parameter wait, such as 5s, waits for that, 30s at most.", nil, Installation{}, false},
	"GET " + PathStatus:       {"All that the agent knows about itself.", nil, Status{}, false},
	"GET " + PathUpdate:       {"The newest release that is newer than the host's version, if the operator granted the update check.", nil, rollcall.UpdateStatus{}, false},
	"POST " + PathUpdate:      {"Ask the collector for releases, if that is due. The answer is that of GET.", nil, rollcall.UpdateStatus{}, true},
	"GET " + pathHealth:       {"Reports that the agent is alive.", nil, map[string]string{}, false},
	"GET " + pathReady:        {"Reports whether the installation ID is settled.", nil, map[string]string{}, false},
	"GET " + pathMetrics:      {"Metrics in Prometheus' format.", nil, nil, false},
	"GET " + pathOpenAPI:      {"This description.", nil, nil, false},
	"GET " + PathConsent:      {"The operator's decisions.", nil, rollcall.Decisions{}, false},
	"POST " + PathConsent:     {"Decide. Programs on this machine may deny; only the operator may grant.", choice{}, rollcall.Decisions{}, true},
	"PUT " + PathFacts:        {"Set the values of all facts. The answer is what is sent of them.", map[string]any{}, Reported{}, true},
	"PUT " + PathHost:         {"Set the version of the host.", HostVersion{}, HostVersion{}, true},
	"POST " + PathFaults:      {"Count a fault.", Fault{}, Counted{}, true},
	"GET " + PathPreview:      {"What would be sent now, and why.", nil, Preview{}, true},
	"POST " + PathSend:        {"Send a heartbeat now, if telemetry is granted.", nil, Sent{}, true},
}

// TestOpenAPI holds the description to the handlers: it contains each path of
// the agent with its body and its answer, and nothing else.
func TestOpenAPI(t *testing.T) {
	openapi.Check(t, "openapi.json", describeAPI(t), description, *update)
}

func describeAPI(t *testing.T) openapi.Object {
	type object = openapi.Object
	value := object{"type": []string{"string", "boolean", "number"}}
	schemas := openapi.NewSchemas(map[reflect.Type]object{
		reflect.TypeFor[any]():          value,
		reflect.TypeFor[*bool]():        {"type": "boolean"},
		reflect.TypeFor[report.Facts](): {"type": "object", "additionalProperties": value},
	})
	paths, described := object{}, 0
	for _, r := range (&Agent{opts: Options{Metrics: prometheus.NewRegistry()}}).routes() {
		name := r.method + " " + r.path
		op, ok := operations[name]
		if !ok {
			t.Errorf("%s is not described", name)
		}
		described++
		answer := object{"description": "OK"}
		if op.answer != nil {
			answer["content"] = openapi.Content(schemas.Of(reflect.TypeOf(op.answer)))
		}
		of := object{"summary": op.summary, "responses": object{"200": answer, "default": object{
			"description": "Refused, with the reason", "content": openapi.Content(schemas.Of(reflect.TypeFor[errorBody]())),
		}}}
		if op.body != nil {
			of["requestBody"] = openapi.Body(schemas.Of(reflect.TypeOf(op.body)))
		}
		if op.operator {
			of["security"] = []object{{"token": []string{}}, {}} // a peer of the socket needs no token
		}
		if r.path == PathInstallation {
			of["parameters"] = []object{{"name": "wait", "in": "query", "schema": object{"type": "string"}}}
		}
		path, _ := paths[r.path].(object)
		if path == nil {
			path = object{}
			paths[r.path] = path
		}
		path[strings.ToLower(r.method)] = of
	}
	if described != len(operations) {
		t.Errorf("%d operations are described, and %d are served", len(operations), described)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Rollcall agent", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"paths":   paths,
		"components": object{
			"schemas":         schemas.Named,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}
