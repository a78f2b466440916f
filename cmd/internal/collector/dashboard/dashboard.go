// Package dashboard is the pages on which a maintainer sees how a fleet is doing. They are made on the server and complete
// without JavaScript, come from this program alone, and ask no other host for anything. Each panel has a chart, a table of
// the same figures, and downloads of exactly these.
//
// A page is made of panels, and a panel of a table and a drawing of it: see [panel]. What is in the address is all of the
// state of a page, so that a link shows another reader the same.
package dashboard

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
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
	"path"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Options say what a dashboard shows. Collector and Access are required.
type Options struct {
	Collector *engine.Engine
	Access    *access.Tokens
	// Alerts are shown and changed on the settings page; nil for none.
	Alerts Alerts
	// Title is what the pages are called; empty is Rollcall.
	Title string
	// Version is the program's.
	Version string
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
}

//go:embed assets
var assetFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// pageWait bounds the making of one page.
const pageWait = 20 * time.Second

// policy lets a page use its own files and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"connect-src 'none'; base-uri 'none'; frame-ancestors 'none'"

type dashboard struct {
	opts      Options
	c         *engine.Engine
	log       *slog.Logger
	templates *template.Template
	assets    map[string]asset // by name
	names     map[string]string
	stamp     string // stands for the program's version and the files that pages are made of
}

// An asset is a file of the pages. Its name has a hash of what is in it, so that browsers keep it for good.
type asset struct {
	kind         string
	data, zipped []byte
}

// parse reads the templates.
func (d *dashboard) parse() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"asset": d.asset, "figure": figure, "rows": rows, "patterns": func() template.HTML { return chart.Patterns }, "shown": shown,
	}).ParseFS(templateFiles, "templates/*.html")
}

// New makes the handler of all pages.
func New(opts Options) (http.Handler, error) {
	if opts.Collector == nil || opts.Access == nil {
		return nil, errors.New("dashboard: Collector and Access are required")
	}
	opts.Title = cmp.Or(opts.Title, "Rollcall")
	d := &dashboard{
		opts: opts, c: opts.Collector, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		assets: make(map[string]asset), names: make(map[string]string),
	}
	if err := d.readAssets(); err != nil {
		return nil, err
	}
	var err error
	d.templates, err = d.parse()
	if err != nil {
		return nil, err
	}
	if d.stamp, err = stampOf(opts.Version); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.home)
	mux.HandleFunc("GET /assets/{name}", d.serveAsset)
	mux.HandleFunc("GET /signin", d.signInPage)
	mux.HandleFunc("POST /signin", d.signIn)
	mux.HandleFunc("POST /signout", d.signOut)
	mux.HandleFunc("GET /a/{app}/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/a/"+r.PathValue("app")+"/overview", http.StatusFound)
	})
	mux.HandleFunc("GET /a/{app}/{page}", d.page)
	mux.HandleFunc("GET /a/{app}/{page}/{file}", d.download)
	mux.HandleFunc("POST /a/{app}/health", d.postFault)
	mux.HandleFunc("POST /a/{app}/versions", d.postRelease)
	mux.HandleFunc("POST /a/{app}/settings", d.postSettings)
	mux.HandleFunc("POST /apps", d.postApp)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.problem(w, r, http.StatusNotFound, "There is no such page.")
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.problem(w, r, http.StatusForbidden, "This request came from another site.")
	}))
	return d.headers(guard.Handler(mux)), nil
}

// headers sets what belongs to every answer.
func (d *dashboard) headers(next http.Handler) http.Handler {
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

// maxForm bounds what a form sends, in bytes.
const maxForm = 64 << 10

func (d *dashboard) readAssets() error {
	return fs.WalkDir(assetFiles, "assets", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := assetFiles.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		base, ext := path.Base(file), path.Ext(file)
		name := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		d.names[base] = name
		d.assets[name] = asset{kind: mime.TypeByExtension(ext), data: data, zipped: zipped(data)}
		return nil
	})
}

// stampOf differs when pages would: two builds can have the same version.
func stampOf(version string) (string, error) {
	sum := sha256.New()
	sum.Write([]byte(version))
	for _, files := range []embed.FS{assetFiles, templateFiles} {
		err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := files.ReadFile(file)
			sum.Write(data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

// asset gives the address of a file.
func (d *dashboard) asset(base string) (string, error) {
	name, ok := d.names[base]
	if !ok {
		return "", fmt.Errorf("no asset %s", base)
	}
	return "/assets/" + name, nil
}

func (d *dashboard) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := d.assets[r.PathValue("name")]
	if !ok {
		d.problem(w, r, http.StatusNotFound, "There is no such file.")
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	send(w, r, a.data, a.zipped)
}

// send writes a body, compressed if the client takes that; packed may be nil.
func send(w http.ResponseWriter, r *http.Request, plain, packed []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Write(plain)
		return
	}
	if packed == nil {
		packed = zipped(plain)
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(packed)
}

// render writes a page.
func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var body bytes.Buffer
	if err := d.templates.ExecuteTemplate(&body, name, data); err != nil {
		d.log.Error("Page cannot be drawn", "page", name, "error", err.Error())
		http.Error(w, "The page cannot be drawn.", http.StatusInternalServerError)
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
	send(w, r, body.Bytes(), nil)
}

// frame is what every page has around it.
type frame struct {
	Title    string
	Site     string
	Version  string
	SignedIn string // the name of the token, empty for the public
	Apps     []appLink
	App      string
	AppName  string
	Pages    []link
	Problem  string
}

type appLink struct {
	Key, Name string
	URL       string
	Current   bool
}

type link struct {
	Name, URL string
	Current   bool
}

func (d *dashboard) frame(r *http.Request, title string) frame {
	f := frame{Title: title, Site: d.opts.Title, Version: d.opts.Version}
	grant, signedIn := d.opts.Access.Grant(r)
	if signedIn {
		f.SignedIn = grant.Name
	}
	current := r.PathValue("app")
	for _, app := range d.c.Apps() {
		if !app.Public && !grant.May(app.Key, access.Read) {
			continue
		}
		name := cmp.Or(app.Name, app.Key)
		page := cmp.Or(r.PathValue("page"), "overview")
		f.Apps = append(f.Apps, appLink{app.Key, name, "/a/" + app.Key + "/" + page, app.Key == current})
		if app.Key == current {
			f.App, f.AppName = app.Key, name
		}
	}
	return f
}

// problem shows a page that says what is wrong.
func (d *dashboard) problem(w http.ResponseWriter, r *http.Request, status int, text string) {
	f := d.frame(r, http.StatusText(status))
	f.Problem = text
	d.render(w, r, status, "problem.html", struct{ frame }{f})
}

// home leads to the first app that one may see.
func (d *dashboard) home(w http.ResponseWriter, r *http.Request) {
	f := d.frame(r, "")
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case len(f.Apps) > 0:
		http.Redirect(w, r, f.Apps[0].URL, http.StatusFound)
	case f.SignedIn != "":
		f.Title = "No app yet"
		grant, _ := d.opts.Access.Grant(r)
		d.render(w, r, http.StatusOK, "noapp.html", noAppData{f, grant.May("", access.Admin), collector.MaxAppNameLen})
	default:
		http.Redirect(w, r, "/signin", http.StatusFound)
	}
}

// noAppData is the page of a collector without an app.
type noAppData struct {
	frame
	MayAdd  bool
	MaxName int
}

// viewer finds the app of a request and what its reader may see.
func (d *dashboard) viewer(w http.ResponseWriter, r *http.Request, need access.Scope) (v viewer, ok bool) {
	key := r.PathValue("app")
	app, found := d.c.App(key)
	grant, signedIn := d.opts.Access.Grant(r)
	v = viewer{app: app, admin: signedIn && grant.May(key, access.Admin), reads: signedIn && grant.May(key, access.Read)}
	switch {
	case found && need == access.Admin && v.admin, found && need == access.Read && v.reads:
		return v, true
	case found && need == "" && (v.reads || app.Public):
		if !v.reads {
			v.view = figures.View{Public: true, K: app.K}
		}
		return v, true
	case signedIn:
		d.problem(w, r, http.StatusNotFound, "There is no such page, or your token is not for it.")
	default:
		http.Redirect(w, r, "/signin?next="+template.URLQueryEscaper(r.URL.RequestURI()), http.StatusFound)
	}
	return v, false
}

// A viewer is who looks at an app.
type viewer struct {
	app          collector.App
	view         figures.View
	reads, admin bool
}

func (v viewer) k() int { return cmp.Or(v.app.K, collector.DefaultK) }

// hides gives the size below which groups are hidden from the reader, and 0 if none are.
func (v viewer) hides() int {
	if v.view.Public {
		return v.k()
	}
	return 0
}

func withTimeout(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), pageWait)
}
