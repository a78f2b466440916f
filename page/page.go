// Package page is the operator's page of a [rollcall.Service]. An operator sees
// there what is sent, and turns telemetry on and off. A host mounts it beside
// its own pages:
//
//	telemetry := page.Handler(service, page.Options{Title: "Example", BasePath: "/telemetry", Rights: page.BehindLogin})
//	mux.Handle("/telemetry/", requireLogin(telemetry))
//
// The page is plain HTML. It works without JavaScript, loads nothing from other
// machines, and shows everything that comes from outside as text.
//
// The page has no login. Whoever can open it sees the installation ID, with
// which anyone can report in the installation's name and have it deleted from
// the collector. What they can change is up to [Options].Rights, and by default
// nothing. Mount the page behind the host's own login, and say so there.
//
// The package protects the operator from other web sites in the same browser.
// It refuses requests that another origin caused, even if they only read. It
// refuses requests that name a host which is neither loopback nor configured
// (DNS rebinding). No site may frame the page.
//
// Every wait has a bound: 5 seconds for the body of a request, which has 4 KiB
// at most; 3 seconds for the disk, after which the page shows what is known
// without it; 10 seconds for a change of the config; and 45 seconds for a
// request to the collector.
package page

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/guard"
)

// The bounds of a request, as the package comment states them.
const (
	maxBody        = 4 << 10
	bodyTimeout    = 5 * time.Second
	previewTimeout = 3 * time.Second
	configTimeout  = 10 * time.Second
	sendTimeout    = 45 * time.Second
	// answerTime is the time left to write the response.
	answerTime = 5 * time.Second
)

// Options configure the page. The zero value serves a page without forms at the
// root of a server on this machine.
type Options struct {
	// Title is the name of the host, which the page shows. It may be empty.
	Title string
	// BasePath is the path under which the page is mounted, such as /telemetry.
	// It is empty at the root and behind [http.StripPrefix]. The links on the
	// page are relative.
	BasePath string
	// AllowHosts are further names or addresses, without a port, under which
	// browsers may open the page. Localhost and loopback addresses are always
	// allowed. Requests with any other Host header get status 421.
	AllowHosts []string
	// AnyHost allows every name. Set it only if the server checks the Host header
	// itself or requires a login. Otherwise a web site whose name resolves to
	// this machine can read the page.
	AnyHost bool
	// Rights returns what the sender of a request may do. It has no default that
	// allows anything: if it is nil, the page is [ReadOnly]. A host whose login
	// lets only the operator reach the page sets [BehindLogin]; one with several
	// kinds of users returns the rights of the user of the request. It must be
	// safe for concurrent use.
	Rights func(*http.Request) Rights
	// SignIn is a sentence that says what somebody without [MayChange] can do to
	// get it, such as "Sign in as an administrator." It may be empty.
	SignIn string
}

// Handler returns the page of a service. If service is nil, the page says that
// telemetry is not running. The handler is safe for concurrent use.
func Handler(service *rollcall.Service, opts Options) http.Handler {
	p := &operatorPage{
		service: service, opts: opts, base: strings.TrimSuffix(opts.BasePath, "/"), hosts: guard.Hosts{Any: opts.AnyHost},
		crossOrigin: http.NewCrossOriginProtection(), templates: template.Must(parseTemplates()),
	}
	p.hosts.Add(opts.AllowHosts...)
	renew := func(ctx context.Context) error { _, err := service.Reset(ctx); return err }
	p.resources = map[string]resource{
		"/":       {get: p.servePage},
		"/reset":  {change: true, get: p.serveConfirm(resetting), post: p.actOnID(configTimeout, reset, notReset, renew)},
		"/forget": {change: true, get: p.serveConfirm(forgetting), post: p.actOnID(sendTimeout, forgotten, notForgotten, service.Forget)},
		"/consent": {post: p.decide(toggle{
			telemetryGranted, telemetryDenied, telemetryNotSaved, telemetryOverruled,
			func(st rollcall.Status) rollcall.Decision { return st.Consent }, service.SetConsent,
		})},
		"/health-consent": {post: p.decide(toggle{
			healthGranted, healthDenied, healthNotSaved, healthOverruled,
			func(st rollcall.Status) rollcall.Decision { return st.Reporting.Health }, service.SetHealthConsent,
		})},
		"/update-consent": {post: p.decide(toggle{
			updatesGranted, updatesDenied, updatesNotSaved, updatesOverruled,
			func(st rollcall.Status) rollcall.Decision { return st.Updates.Consent }, service.SetUpdateConsent,
		})},
		"/send":      {change: true, post: p.send},
		"/style.css": {get: serveAsset("style.css", "text/css; charset=utf-8")},
		"/page.js":   {get: serveAsset("page.js", "text/javascript; charset=utf-8")},
		"/icon.svg":  {get: serveAsset("icon.svg", "image/svg+xml")},
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

	diagnosing flight.Flight

	mu        sync.Mutex
	last      outcome
	findings  []rollcall.Finding // of the last diagnosis
	diagnosed time.Time
}

// A resource answers at one path. A nil handler stands for a method that is not
// allowed.
type resource struct {
	get, post http.HandlerFunc
	// change says that both need [MayChange].
	change bool
}

func (p *operatorPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if !p.hosts.Allow(r.Host) {
		http.Error(w, "This page is not available under this host name. Use localhost, or allow the name in the configuration.",
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
		http.Error(w, "Page not found.", http.StatusNotFound)
	case guard.CrossSite(r) || p.crossOrigin.Check(r) != nil:
		p.refuseForeign(w, r)
	case found.change && p.rights(r) < MayChange:
		p.refuse(w)
	case found.get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		found.get(w, r)
	case found.post != nil && r.Method == http.MethodPost:
		found.post(w, r)
	default:
		allowed := "GET, HEAD, POST"
		if found.post == nil {
			allowed = "GET, HEAD"
		} else if found.get == nil {
			allowed = "POST"
		}
		w.Header().Set("Allow", allowed)
		http.Error(w, "Method not allowed. Use "+allowed+".", http.StatusMethodNotAllowed)
	}
}

//go:embed assets templates
var files embed.FS

func parseTemplates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"plain": plain, "visible": visible}).ParseFS(files, "templates/*.html")
}

func serveAsset(name, contentType string) http.HandlerFunc {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // not embedded: every test would fail
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(content)
	}
}

// render answers with a page. It writes nothing until the template is executed.
func (p *operatorPage) render(w http.ResponseWriter, code int, name string, data any) {
	var body bytes.Buffer
	if err := p.templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "This page could not be rendered.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(body.Bytes())
}

// policy lets the page use its own style sheet, script, icon and forms, and
// nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

func setHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// With no-referrer, browsers send "Origin: null" with a form (Fetch, section
	// 3.2). Over plain HTTP to another machine they also omit Sec-Fetch-Site, so
	// the form would be refused. Other sites get no referrer either way.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
}

// refuseForeign refuses a request that another origin caused. If an operator
// followed a link, the answer has a link to the page.
func (p *operatorPage) refuseForeign(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		http.Error(w, "Requests from other web sites are refused.", http.StatusForbidden)
		return
	}
	p.render(w, http.StatusForbidden, "foreign.html", view{Title: "Opened from another site", Host: plain(p.opts.Title)})
}

// servePage answers with the page. It asks for the preview first, which reads
// the operator's decisions anew.
func (p *operatorPage) servePage(w http.ResponseWriter, r *http.Request) {
	var g glance
	var status *rollcall.Status
	if p.service != nil {
		ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
		defer cancel()
		g.preview, g.previewError = p.service.Preview(ctx)
		g.decisions = p.service.Decisions(ctx)
		g.grantError, g.resetError = p.service.CheckGrant(ctx), p.service.CheckReset()
		st := p.service.Status()
		status = &st
		if inMemory(st) {
			g.findings = p.diagnose(ctx)
		}
	}
	v := newView(p.opts.Title, p.notice(r), status, g, time.Now())
	p.render(w, http.StatusOK, "page.html", v.limitedTo(p.rights(r), p.opts.SignIn))
}

// A glance is what the page reads from the disk.
type glance struct {
	preview      rollcall.Preview
	previewError error
	decisions    rollcall.Decisions
	// grantError and resetError say why these would fail; nil if they may work.
	grantError, resetError error
	// findings say what keeps the ID from being stored, each with a hint.
	findings []rollcall.Finding
}

// diagnoseEvery bounds how often a page tries what the disk can do.
const diagnoseEvery = 10 * time.Second

// diagnose returns what keeps the ID in memory, as rollcall doctor finds it: the
// worst findings that have a hint. However often the page is asked for, one
// diagnosis runs at a time.
func (p *operatorPage) diagnose(ctx context.Context) []rollcall.Finding {
	p.mu.Lock()
	recent, at := p.findings, p.diagnosed
	p.mu.Unlock()
	if time.Since(at) < diagnoseEvery && !at.IsZero() {
		return recent
	}
	all, err := flight.Do(ctx, &p.diagnosing, "diagnose", p.service.Diagnose)
	if err != nil {
		return nil
	}
	worst := rollcall.LevelWarning
	for _, f := range all {
		if f.Hint != "" {
			worst = max(worst, f.Level)
		}
	}
	var found []rollcall.Finding
	for _, f := range all {
		if f.Hint != "" && f.Level == worst {
			found = append(found, f)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.findings, p.diagnosed = found, time.Now()
	return found
}

// isAdded reports whether a field was added after the operator agreed.
func (g glance) isAdded(f rollcall.ExplainedField) bool {
	d := g.decisions
	covered := d.Schema
	if strings.HasPrefix(f.Name, "facts.") {
		covered = d.Facts
	}
	return d.Telemetry.State == rollcall.Granted && f.Since > covered
}
