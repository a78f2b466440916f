// Package page is the operator's page: what an operator sees of a [rollcall.Service], and where telemetry is granted and
// denied. A host written in Go mounts it beside its own pages, and the agent serves it at its root:
//
//	mux.Handle("/telemetry/", page.Handler(service, page.Options{Title: "Example", BasePath: "/telemetry"}))
//
// The page is plain HTML. It works without JavaScript, asks no other machine for anything, and shows everything that
// comes from outside as text. It shows the installation ID and lets its visitor change the config, and it has no
// passwords of its own: a host that can be reached by others than its operator puts it behind its own login.
//
// What the package protects against are other web sites in the browser of the operator. Requests that another origin
// caused are refused, for reading as well as for changing; so are those that name a host which is neither loopback nor
// configured (DNS rebinding); and no site may frame the page.
//
// Nothing waits for ever: a body is read for no longer than 5 seconds and up to 4 KiB; the page itself waits for the
// disk no longer than 3 seconds and is then made from what is known without it; a change of the config may take 10
// seconds, and a request to the collector 45.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/guard"
)

// The bounds of a request; see the package's comment.
const (
	maxBody        = 4 << 10
	bodyTimeout    = 5 * time.Second
	previewTimeout = 3 * time.Second
	configTimeout  = 10 * time.Second
	sendTimeout    = 45 * time.Second
	// answerTime is what remains of a connection's deadline for writing the answer.
	answerTime = 5 * time.Second
)

// Options say how the page is served. The zero value is for a page at the root of a server on this machine.
type Options struct {
	// Title is the name of the host, which the page shows; empty for none.
	Title string
	// BasePath is the path below which the page is mounted, such as /telemetry; empty for the root, and where something
	// like http.StripPrefix has taken it away. The links on the page are relative.
	BasePath string
	// AllowHosts are names by which browsers may address the page, without a port, besides localhost and the addresses
	// of loopback. Requests with another name in their Host header are answered with 421.
	AllowHosts []string
	// AnyHost lets every name through. It is for a server that checks the Host header itself, or whose pages need a
	// login: without one or the other, a web site whose name resolves to this machine can read the page.
	AnyHost bool
}

// Handler gives the page of a service, whose methods the switches call; a nil service has a page that says that
// telemetry is not running.
func Handler(service *rollcall.Service, opts Options) http.Handler {
	p := &operatorPage{
		service:     service,
		opts:        opts,
		base:        strings.TrimSuffix(opts.BasePath, "/"),
		hosts:       guard.Hosts{Any: opts.AnyHost},
		crossOrigin: http.NewCrossOriginProtection(),
		templates:   template.Must(parseTemplates()),
	}
	p.hosts.Add(opts.AllowHosts...)
	p.resources = map[string]resource{
		"/":               {get: p.servePage},
		"/reset":          {get: p.serveConfirm(resetting), post: p.reset},
		"/forget":         {get: p.serveConfirm(forgetting), post: p.forget},
		"/consent":        {post: p.consent},
		"/health-consent": {post: p.healthConsent},
		"/send":           {post: p.send},
		"/style.css":      {get: serveAsset("style.css", "text/css; charset=utf-8")},
		"/page.js":        {get: serveAsset("page.js", "text/javascript; charset=utf-8")},
		"/icon.svg":       {get: serveAsset("icon.svg", "image/svg+xml")},
	}
	return p
}

type operatorPage struct {
	service     *rollcall.Service
	opts        Options
	base        string
	hosts       guard.Hosts
	crossOrigin *http.CrossOriginProtection
	templates   *template.Template
	resources   map[string]resource

	mu   sync.Mutex
	last outcome
}

// A resource is what answers at one path; nil for the methods it does not have.
type resource struct{ get, post http.HandlerFunc }

// allow lists the methods.
func (r resource) allow() string {
	switch {
	case r.post == nil:
		return "GET, HEAD"
	case r.get == nil:
		return "POST"
	default:
		return "GET, HEAD, POST"
	}
}

func (p *operatorPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if !p.hosts.Allow(r.Host) {
		http.Error(w, "The Host header names another server. The names that are allowed besides localhost have to be configured.",
			http.StatusMisdirectedRequest)
		return
	}
	below, ok := strings.CutPrefix(r.URL.Path, p.base)
	if ok && p.base != "" && below == "" {
		w.Header().Set("Location", path.Base(p.base)+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	found, exists := p.resources["/"+strings.TrimPrefix(below, "/")]
	switch {
	case !ok || !exists:
		http.Error(w, "There is no such page.", http.StatusNotFound)
	case p.isForeign(r):
		p.refuseForeign(w, r)
	case found.get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		found.get(w, r)
	case found.post != nil && r.Method == http.MethodPost:
		found.post(w, r)
	default:
		w.Header().Set("Allow", found.allow())
		http.Error(w, "Only these methods are allowed here: "+found.allow(), http.StatusMethodNotAllowed)
	}
}

//go:embed assets templates
var files embed.FS

func parseTemplates() (*template.Template, error) {
	return template.New("").ParseFS(files, "templates/*.html")
}

func serveAsset(name, contentType string) http.HandlerFunc {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is not embedded, which every test of this package would notice
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(content)
	}
}

// render answers with a template, which is executed whole before anything is written.
func (p *operatorPage) render(w http.ResponseWriter, code int, name string, data any) {
	var body bytes.Buffer
	if err := p.templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(body.Bytes())
}
