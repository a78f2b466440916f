package server

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

var update = flag.Bool("update", false, "update openapi.json")

// TestOpenAPI derives the description from the handlers: it contains each of the
// server's paths with its parameters and its answer, and nothing else.
func TestOpenAPI(t *testing.T) {
	want, err := json.MarshalIndent(describeAPI(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(description, want) {
		t.Error("openapi.json does not match the handlers; update it and check the difference: go test ./cmd/internal/collector/server -run TestOpenAPI -update")
	}
}

type object = map[string]any

// summaries describe each operation. Every route has one.
var summaries = map[string]string{
	"POST /v1/heartbeat":                   "Report that an installation is active today. The answer follows when the report is durable.",
	"POST /v1/health":                      "Report the faults of an installation. The answer follows when the report is durable.",
	"GET /v1/installations/{id}":           "All data about an installation. Knowing its ID grants access.",
	"DELETE /v1/installations/{id}":        "Delete all data about an installation. This can be repeated.",
	"GET /healthz":                         "Reports that the server answers.",
	"GET /readyz":                          "Reports whether the store commits.",
	"GET /metrics":                         "Metrics in Prometheus' format.",
	"GET /api/openapi.json":                "This description.",
	"GET /api/v1/apps":                     "The apps that the client may read.",
	"GET /api/v1/apps/{app}/export":        "Any of the figures as CSV or JSON lines; the parameter of is their name, series by default.",
	"GET /api/v1/apps/{app}/badge/{badge}": "An SVG with one figure of a public app: active.svg or version.svg.",
	"GET /api/v1/apps/{app}/series":        "Active, new, returning and lost installations by day.",
	"GET /api/v1/apps/{app}/dimensions":    "The dimensions by which installations can be broken down.",
	"GET /api/v1/apps/{app}/breakdown":     "Active installations by the values of a dimension.",
	"GET /api/v1/apps/{app}/trend":         "A breakdown by day.",
	"GET /api/v1/apps/{app}/retention":     "How many of each cohort are still active.",
	"GET /api/v1/apps/{app}/survival":      "How many installations are active weeks after their first report, by first version.",
	"GET /api/v1/apps/{app}/versions":      "Adoption of releases, and changes of version.",
	"GET /api/v1/apps/{app}/floor":         "How many installations remain if older versions are dropped.",
	"GET /api/v1/apps/{app}/cooccurrence":  "Pairs of values of two dimensions.",
	"GET /api/v1/apps/{app}/faults":        "Faults by affected installations.",
	"GET /api/v1/apps/{app}/quality":       "How reliable the figures are. Not for the public.",
}

// results are the answers of the operations in JSON.
var results = map[string]any{
	"GET /v1/installations/{id}":          heldAnswer{},
	"DELETE /v1/installations/{id}":       collector.Deletion{},
	"GET /api/v1/apps":                    AppList{},
	"GET /api/v1/apps/{app}/series":       figures.Series{},
	"GET /api/v1/apps/{app}/dimensions":   Dimensions{},
	"GET /api/v1/apps/{app}/breakdown":    figures.Breakdown{},
	"GET /api/v1/apps/{app}/trend":        figures.Trend{},
	"GET /api/v1/apps/{app}/retention":    figures.Retention{},
	"GET /api/v1/apps/{app}/survival":     figures.Survival{},
	"GET /api/v1/apps/{app}/versions":     figures.Versions{},
	"GET /api/v1/apps/{app}/floor":        figures.Floor{},
	"GET /api/v1/apps/{app}/cooccurrence": figures.CoOccurrence{},
	"GET /api/v1/apps/{app}/faults":       figures.Faults{},
	"GET /api/v1/apps/{app}/quality":      figures.Quality{},
}

func describeAPI(t *testing.T) object {
	t.Helper()
	const export = "/api/v1/apps/{app}/export"
	params := map[string][]string{export: {"of", "format"}}
	for _, q := range questions {
		for _, p := range q.params {
			if !slices.Contains(params[export], p) {
				params[export] = append(params[export], p)
			}
		}
		params["/api/v1/apps/{app}/"+q.name] = q.params
	}
	schemas := object{
		"Heartbeat":    fieldsSchema(report.Fields()),
		"HealthReport": fieldsSchema(report.HealthFields()),
	}
	paths := object{}
	for _, r := range (&Server{}).routes() {
		name := r.method + " " + r.path
		summary := summaries[name]
		if summary == "" {
			t.Errorf("%s has no summary", name)
		}
		op := object{"summary": summary, "responses": responses(name, schemas)}
		parameters := []object{}
		for _, in := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(r.path, -1) {
			parameters = append(parameters, object{"name": in[1], "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		for _, p := range params[r.path] {
			kind := "string"
			if slices.Contains([]string{"days", "window", "top"}, p) {
				kind = "integer"
			}
			parameters = append(parameters, object{"name": p, "in": "query", "schema": object{"type": kind}})
		}
		if len(parameters) > 0 {
			op["parameters"] = parameters
		}
		switch r.path {
		case "/v1/heartbeat":
			op["requestBody"] = body("Heartbeat")
		case "/v1/health":
			op["requestBody"] = body("HealthReport")
		}
		if strings.HasPrefix(r.path, "/api/v1/") && !strings.Contains(r.path, "badge") || r.path == "/metrics" {
			op["security"] = []object{{"token": []string{}}, {}}
		}
		path, _ := paths[r.path].(object)
		if path == nil {
			path = object{}
			paths[r.path] = path
		}
		path[strings.ToLower(r.method)] = op
	}
	for name := range summaries {
		method, path, _ := strings.Cut(name, " ")
		if described, _ := paths[path].(object); described[strings.ToLower(method)] == nil {
			t.Errorf("%s has a summary and no route", name)
		}
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Rollcall collector", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

func body(schema string) object {
	return object{"required": true, "content": object{"application/json": object{"schema": reference(schema)}}}
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func responses(name string, schemas object) object {
	ok := object{"description": "OK"}
	if result := results[name]; result != nil {
		ok["content"] = object{"application/json": object{"schema": schemaOf(reflect.TypeOf(result), schemas)}}
	}
	refused := object{"description": "Refused, with the reason", "content": object{
		"application/json": object{"schema": schemaOf(reflect.TypeFor[refusal](), schemas)},
	}}
	return object{"200": ok, "default": refused}
}

// fieldsSchema returns the schema of a report from its list of fields.
func fieldsSchema(fields []report.Field) object {
	root := object{"type": "object", "properties": object{}}
	for _, f := range fields {
		at := root
		steps := strings.Split(f.Name, ".")
		for _, step := range steps[:len(steps)-1] {
			key, list := strings.CutSuffix(step, "[]")
			properties := at["properties"].(object)
			next, _ := properties[key].(object)
			if next == nil || next["properties"] == nil && next["items"] == nil {
				next = object{"type": "object", "properties": object{}}
				if list {
					next = object{"type": "array", "items": next}
				}
				properties[key] = next
			}
			at = next
			if items, _ := next["items"].(object); items != nil {
				at = items
			}
		}
		last := steps[len(steps)-1]
		properties := at["properties"].(object)
		if properties[last] == nil {
			properties[last] = object{"description": f.Reason + " (" + f.Bound + ")", "type": map[string]string{
				"text": "string", "number": "integer", "time": "string", "boolean": "boolean", "list": "array", "map": "object",
			}[f.Type]}
		}
		if !f.Optional {
			required, _ := at["required"].([]string)
			at["required"] = append(required, last)
		}
	}
	return root
}

// schemaOf returns the schema of a type as encoding/json writes it.
func schemaOf(typ reflect.Type, schemas object) object {
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case typ == reflect.TypeFor[collector.Day]():
		return object{"type": "string", "format": "date"}
	case typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		s := schemaOf(typ.Elem(), schemas)
		s["type"] = []any{s["type"], "null"}
		return s
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(typ.Elem(), schemas)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(typ.Elem(), schemas)}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		name := strings.ToUpper(typ.Name()[:1]) + typ.Name()[1:]
		if schemas[name] == nil {
			s := object{"type": "object"}
			schemas[name] = s // before its fields, which may refer to it
			properties := object{}
			addFields(typ, properties, schemas)
			s["properties"] = properties
		}
		return reference(name)
	}
	return object{"type": "integer"}
}

func addFields(typ reflect.Type, properties, schemas object) {
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			addFields(field.Type, properties, schemas)
			continue
		}
		if field.IsExported() && name != "-" {
			properties[name] = schemaOf(field.Type, schemas)
		}
	}
}
