// Package dashboard serves the pages on which a maintainer sees how a fleet is
// doing. The server draws them: they are complete without JavaScript and load
// nothing from another host.
//
// A page consists of panels. A [panel] has a table of figures, a chart of the
// same figures, and downloads of exactly these. The whole state of a page is
// in its address, so a link shows every reader the same.
package dashboard

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	appnote "github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
	"github.com/rollcall-dev/rollcall/report"
)

// Options configure the pages. Collector and Access are required.
type Options struct {
	Collector *engine.Engine
	Access    *access.Tokens
	// Audit receives what people change, and is shown to admins; nil for none.
	Audit *audit.Log
	// Alerts are shown and changed on the settings page; nil for none.
	Alerts *alert.Watcher
	// Releases are shown and changed on the settings page; nil for none.
	Releases *release.Store
	// Notes are shown on time axes to readers with a token, and changed on the
	// settings page; nil for none.
	Notes *appnote.Store
	// BaseURL is the address at which people open the pages, without a slash
	// at its end; empty means that of each request. Its path is in front of all
	// links, although requests come without it.
	BaseURL string
	// Title is the name of the site; empty means Rollcall.
	Title string
	// Version is the program's version.
	Version string
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

type dashboard struct {
	opts      Options
	c         *engine.Engine
	log       *slog.Logger
	templates *template.Template
	assets    map[string]asset  // by the name in their address
	names     map[string]string // of assets, by the name of their file
	stamp     string            // changes with the program's version and files
	base      string            // the path of Options.BaseURL
	changed   changesCache
}

// New returns the handler of all pages.
func New(opts Options) (http.Handler, error) {
	if opts.Collector == nil || opts.Access == nil {
		return nil, errors.New("dashboard: Collector and Access are required")
	}
	opts.Title = cmp.Or(opts.Title, "Rollcall")
	d := &dashboard{opts: opts, c: opts.Collector, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))}
	at, err := url.Parse(opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("dashboard: base URL: %w", err)
	}
	d.base = at.Path
	if err := d.readFiles(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.home)
	mux.HandleFunc("GET /assets/{name}", d.serveAsset)
	mux.HandleFunc("GET /signin", d.signInPage)
	mux.HandleFunc("POST /signin", d.signIn)
	mux.HandleFunc("POST /signout", d.signOut)
	mux.HandleFunc("GET /a/{app}/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, d.base+"/a/"+r.PathValue("app")+"/overview", http.StatusFound)
	})
	mux.HandleFunc("GET /a/{app}/{page}", d.servePage)
	mux.HandleFunc("GET /a/{app}/{page}/{file}", d.download)
	mux.HandleFunc("GET /a/{app}/settings", d.settingsPage)
	mux.HandleFunc("POST /a/{app}/health", d.change(d.setFault, audit.FaultTriaged, "fault", "health?saved=1&status=all"))
	mux.HandleFunc("POST /a/{app}/fault", d.postFault)
	mux.HandleFunc("POST /a/{app}/versions", d.change(d.setRelease, audit.ReleaseDated, "version", "versions?saved=1"))
	mux.HandleFunc("POST /a/{app}/quality", d.change(d.clear, audit.ListCleared, "", "quality?saved=1"))
	mux.HandleFunc("POST /a/{app}/settings", d.postSettings)
	mux.HandleFunc("POST /apps", d.postApp)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { d.notFound(w, r) })
	guard := http.NewCrossOriginProtection()
	if at.Host != "" { // a proxy may put another name into the Host header
		if err := guard.AddTrustedOrigin(at.Scheme + "://" + at.Host); err != nil {
			return nil, fmt.Errorf("dashboard: base URL: %w", err)
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.problem(w, r, http.StatusForbidden, "This request came from another site, so it was refused.")
	}))
	return headers(guard.Handler(mux)), nil
}

// policy lets a page use its own files and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"connect-src 'none'; base-uri 'none'; frame-ancestors 'none'"

const maxForm = 64 << 10

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

func (d *dashboard) parseTemplates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"asset": d.assetPath, "figure": figure, "patterns": func() template.HTML { return chart.Patterns },
		"base": func() string { return d.base }, "ruleText": ruleText, "weekday": weekday, "join": strings.Join, "visible": visible, "faultName": faultName,
		"statuses": func() []string { return faultStatuses }, "versionOrders": report.VersionOrders,
		"limits": func() map[string]int {
			return map[string]int{
				"K": collector.MaxK, "AnonymousK": collector.AnonymousK, "Name": collector.MaxAppNameLen,
				"MinRetention": collector.MinRetention, "Retention": collector.MaxRetention,
			}
		},
	}).ParseFS(files, "templates/*.html")
}

// render writes a page. Only pages with status 200 may be kept by the browser.
func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var body bytes.Buffer
	if err := d.templates.ExecuteTemplate(&body, name, data); err != nil {
		d.log.Error("Cannot render page", "page", name, "error", err.Error())
		http.Error(w, "This page could not be rendered.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if status != http.StatusOK {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Del("ETag")
		w.WriteHeader(status)
		w.Write(body.Bytes())
		return
	}
	respond.Body(w, r, body.Bytes())
}

func (d *dashboard) problem(w http.ResponseWriter, r *http.Request, status int, text string) {
	f := d.frame(r, http.StatusText(status))
	f.Problem = text
	d.render(w, r, status, "problem.html", f)
}

func (d *dashboard) notFound(w http.ResponseWriter, r *http.Request) {
	d.problem(w, r, http.StatusNotFound, "Page not found.")
}

//go:embed assets templates
var files embed.FS

// An asset is a file that pages load. The name in its address contains a hash
// of its content, so browsers may keep it for good.
type asset struct {
	kind         string
	data, packed []byte
}

func (d *dashboard) readFiles() (err error) {
	d.assets, d.names = make(map[string]asset), make(map[string]string)
	all := []string{d.opts.Version}
	err = fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(file)
		all = append(all, string(data))
		if base, ok := strings.CutPrefix(file, "assets/"); ok {
			ext := path.Ext(base)
			name := strings.TrimSuffix(base, ext) + "." + hash(string(data)) + ext
			d.names[base] = name
			d.assets[name] = asset{kind: mime.TypeByExtension(ext), data: data, packed: respond.Gzip(data)}
		}
		return err
	})
	if err != nil {
		return err
	}
	d.stamp = hash(all...) // two builds can have the same version
	d.templates, err = d.parseTemplates()
	return err
}

// hash returns a short hash of some texts.
func hash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func (d *dashboard) assetPath(file string) (string, error) {
	name, ok := d.names[file]
	if !ok {
		return "", fmt.Errorf("no asset %s", file)
	}
	return d.base + "/assets/" + name, nil
}

func (d *dashboard) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := d.assets[r.PathValue("name")]
	if !ok {
		d.notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	respond.Packed(w, r, a.data, a.packed)
}
