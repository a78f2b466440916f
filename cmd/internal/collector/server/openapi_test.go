package server

import (
	"flag"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/openapi"
	"github.com/rollcall-dev/rollcall/report"
)

var update = flag.Bool("update", false, "update openapi.json")

// TestOpenAPI derives the description from the handlers: it contains each of the
// server's paths with its parameters and its answer, and nothing else.
func TestOpenAPI(t *testing.T) {
	openapi.Check(t, "openapi.json", describeAPI(t), description, *update)
}

type object = openapi.Object

// summaries describe each operation. Every route has one.
var summaries = map[string]string{
	"POST /v1/heartbeat":                   "Report that an installation is active today. The answer follows when the report is durable.",
	"POST /v1/health":                      "Report the faults of an installation. The answer follows when the report is durable.",
	"GET /v1/installations/{id}":           "All data about an installation. Knowing its ID grants access.",
	"DELETE /v1/installations/{id}":        "Delete all data about an installation. This can be repeated.",
	"GET /v1/releases/{app}":               "The published releases of a channel, stable by default, the current one first. For everyone.",
	"GET /healthz":                         "Reports that the server answers.",
	"GET /readyz":                          "Reports whether the store commits.",
	"GET /metrics":                         "Metrics in Prometheus' format.",
	"GET /api/openapi.json":                "This description.",
	"GET /api/v1/apps":                     "The apps that the client may read.",
	"GET /api/v1/apps/{app}/export":        "Any of the figures as CSV or JSON lines; the parameter of is their name, series by default.",
	"POST /api/v1/apps/{app}/releases":     "Publish a release: make it the current one of its channel. This can be repeated.",
	"GET /api/v1/apps/{app}/notes":         "The maintainer's notes. Not for the public.",
	"POST /api/v1/apps/{app}/notes":        "Add a note to the time axes. This can be repeated.",
	"DELETE /api/v1/apps/{app}/notes/{id}": "Remove a note. The answer is the note.",
	"GET /api/v1/apps/{app}/feed.atom":     "An Atom feed of the weekly reports; for the public, of the windows that are over. A token of scope feed may be the parameter token.",
	"GET /api/v1/apps/{app}/chart/{chart}": "An SVG chart of public figures: active.svg, or a public dimension such as version.svg. Of public apps.",
	"GET /api/v1/apps/{app}/card.png":      "A PNG of 1200×630 pixels with the active installations of a public app, for links.",
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
	"GET /api/v1/apps/{app}/version":       "All about one version: adoption, retention, faults against the version before, and moves.",
	"GET /api/v1/apps/{app}/fault":         "All about one fault: days, versions, other values, sample, and triage.",
	"GET /api/v1/apps/{app}/quality":       "How reliable the figures are. Not for the public.",
	"GET /api/v1/apps/{app}/changes":       "What changed in the 7 days to a complete day. Not for the public.",
}

// results are the answers of the operations in JSON.
var results = map[string]any{
	"GET /v1/installations/{id}":           heldAnswer{},
	"DELETE /v1/installations/{id}":        collector.Deletion{},
	"GET /v1/releases/{app}":               ReleaseList{},
	"GET /api/v1/apps":                     AppList{},
	"POST /api/v1/apps/{app}/releases":     PublishedRelease{},
	"GET /api/v1/apps/{app}/notes":         NoteList{},
	"POST /api/v1/apps/{app}/notes":        note.Note{},
	"DELETE /api/v1/apps/{app}/notes/{id}": note.Note{},
	"GET /api/v1/apps/{app}/series":        figures.Series{},
	"GET /api/v1/apps/{app}/dimensions":    Dimensions{},
	"GET /api/v1/apps/{app}/breakdown":     figures.Breakdown{},
	"GET /api/v1/apps/{app}/trend":         figures.Trend{},
	"GET /api/v1/apps/{app}/retention":     figures.Retention{},
	"GET /api/v1/apps/{app}/survival":      figures.Survival{},
	"GET /api/v1/apps/{app}/versions":      figures.Versions{},
	"GET /api/v1/apps/{app}/floor":         figures.Floor{},
	"GET /api/v1/apps/{app}/cooccurrence":  figures.CoOccurrence{},
	"GET /api/v1/apps/{app}/faults":        figures.Faults{},
	"GET /api/v1/apps/{app}/version":       figures.VersionDetail{},
	"GET /api/v1/apps/{app}/fault":         figures.FaultDetail{},
	"GET /api/v1/apps/{app}/quality":       figures.Quality{},
	"GET /api/v1/apps/{app}/changes":       Changes{},
}

func describeAPI(t *testing.T) object {
	t.Helper()
	const export = "/api/v1/apps/{app}/export"
	params := map[string][]string{export: {"of", "format"}, "/v1/releases/{app}": {"channel"}, "/api/v1/apps/{app}/feed.atom": {"token"},
		"/api/v1/apps/{app}/chart/{chart}": {"theme", "width", "height"}}
	for _, q := range questions {
		for _, p := range q.parameters(false) {
			if !slices.Contains(params[export], p) {
				params[export] = append(params[export], p)
			}
		}
		params["/api/v1/apps/{app}/"+q.name] = q.parameters(false)
	}
	schemas := openapi.NewSchemas(map[reflect.Type]object{reflect.TypeFor[collector.Day](): {"type": "string", "format": "date"}})
	schemas.Named["Heartbeat"] = openapi.OfFields(report.Fields())
	schemas.Named["HealthReport"] = openapi.OfFields(report.HealthFields())
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
			if slices.Contains([]string{"days", "window", "top", "width", "height"}, p) {
				kind = "integer"
			}
			parameters = append(parameters, object{"name": p, "in": "query", "schema": object{"type": kind}})
		}
		if len(parameters) > 0 {
			op["parameters"] = parameters
		}
		switch r.path {
		case "/v1/heartbeat":
			op["requestBody"] = openapi.Body(openapi.Reference("Heartbeat"))
		case "/v1/health":
			op["requestBody"] = openapi.Body(openapi.Reference("HealthReport"))
		case "/api/v1/apps/{app}/releases":
			op["requestBody"] = openapi.Body(openapi.Reference("PublishedRelease"))
		case "/api/v1/apps/{app}/notes":
			if r.method == "POST" {
				op["requestBody"] = openapi.Body(schemas.Of(reflect.TypeFor[NewNote]()))
			}
		}
		if strings.HasPrefix(r.path, "/api/v1/") && !strings.Contains(r.path, "badge") && !strings.Contains(r.path, "chart") && !strings.HasSuffix(r.path, ".png") || r.path == "/metrics" {
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
			"schemas":         schemas.Named,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

func responses(name string, schemas openapi.Schemas) object {
	ok := object{"description": "OK"}
	if result := results[name]; result != nil {
		ok["content"] = openapi.Content(schemas.Of(reflect.TypeOf(result)))
	}
	refused := object{"description": "Refused, with the reason", "content": openapi.Content(schemas.Of(reflect.TypeFor[refusal]()))}
	return object{"200": ok, "default": refused}
}
