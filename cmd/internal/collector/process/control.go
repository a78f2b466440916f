package process

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// A control is the server through which a [Client] gives instructions. That of a running process listens on loopback;
// whoever can read the data folder knows the word, which every request has to have as its bearer token.
type control struct {
	data    *data
	version string
	word    string
	server  *http.Server
}

// controlFile is what rollcall.control holds.
type controlFile struct {
	Address string `json:"address"`
	Word    string `json:"word"`
}

// maxInstruction bounds the body of an instruction that is not an import.
const maxInstruction = 64 << 10

func newControl(d *data, version string, log *slog.Logger) *control {
	c := &control{data: d, version: version, word: rand.Text()}
	c.server = &http.Server{
		Handler:           c.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return c
}

// listen serves on loopback and writes down where.
func (c *control) listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for instructions: %w", err)
	}
	text, err := json.Marshal(controlFile{listener.Addr().String(), c.word})
	if err == nil {
		err = writeDurably(filepath.Join(c.data.dir, controlName), append(text, '\n'), true)
	}
	if err != nil {
		listener.Close()
		return fmt.Errorf("write %s: %w", controlName, err)
	}
	go c.server.Serve(listener)
	return nil
}

// stop takes no more instructions and waits for those that are under way, until ctx ends.
func (c *control) stop(ctx context.Context) {
	_ = os.Remove(filepath.Join(c.data.dir, controlName))
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(c.status))
	mux.HandleFunc("GET /apps", answer(c.apps))
	mux.HandleFunc("POST /apps", answer(c.addApp))
	mux.HandleFunc("PUT /apps/{app}", answer(c.setApp))
	mux.HandleFunc("GET /apps/{app}/series", answer(c.series))
	mux.HandleFunc("GET /apps/{app}/totals", c.exportTotals)
	mux.HandleFunc("POST /apps/{app}/totals", answer(c.importTotals))
	mux.HandleFunc("GET /tokens", answer(c.tokens))
	mux.HandleFunc("POST /tokens", answer(c.addToken))
	mux.HandleFunc("DELETE /tokens", answer(c.revokeToken))
	mux.HandleFunc("GET /backup", c.backup)
	mux.HandleFunc("POST /check", answer(c.check))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		word, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(word), []byte(c.word)) != 1 {
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// answer makes a handler of a function whose result is the answer.
func answer[T any](do func(r *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := do(r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // who asked is gone
	}
}

// failure is the answer when an instruction fails.
type failure struct {
	Error string `json:"error"`
	// Code says which of the errors in codes it is.
	Code string `json:"code,omitempty"`
}

// codes are the errors that a client can tell apart.
var codes = map[string]error{
	"unknown_app":   collector.ErrUnknownApp,
	"app_exists":    collector.ErrAppExists,
	"too_many_apps": collector.ErrTooManyApps,
	"not_empty":     collector.ErrNotEmpty,
	"archive":       collector.ErrArchive,
	"no_token":      access.ErrNoToken,
	"token_exists":  access.ErrExists,
	"unavailable":   collector.ErrUnavailable,
	"closed":        collector.ErrClosed,
}

func fail(w http.ResponseWriter, err error) {
	f := failure{Error: err.Error()}
	for code, known := range codes {
		if errors.Is(err, known) {
			f.Code = code
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(f)
}

// done is the answer to what has no result.
type done struct{}

// body reads the body of an instruction.
func body[T any](r *http.Request) (value T, err error) {
	if err = json.NewDecoder(io.LimitReader(r.Body, maxInstruction)).Decode(&value); err != nil {
		err = fmt.Errorf("read instruction: %w", err)
	}
	return value, err
}

// app finds the app that the path names.
func (c *control) app(r *http.Request) (collector.App, error) {
	app, ok := c.data.collector.App(r.PathValue("app"))
	if !ok {
		return app, fmt.Errorf("%w: %s", collector.ErrUnknownApp, r.PathValue("app"))
	}
	return app, nil
}

// Status is how a running collector is.
type Status struct {
	Version string `json:"version"`
}

func (c *control) status(*http.Request) (Status, error) { return Status{c.version}, nil }

func (c *control) apps(*http.Request) ([]collector.App, error) { return c.data.collector.Apps(), nil }

func (c *control) addApp(r *http.Request) (collector.App, error) {
	app, err := body[collector.App](r)
	if err != nil {
		return app, err
	}
	return c.data.collector.AddApp(r.Context(), app)
}

func (c *control) setApp(r *http.Request) (done, error) {
	app, err := body[collector.App](r)
	if err != nil {
		return done{}, err
	}
	app.Key = r.PathValue("app")
	return done{}, c.data.collector.UpdateApp(r.Context(), app)
}

func (c *control) tokens(r *http.Request) ([]access.Token, error) {
	return c.data.access.List(r.Context())
}

// NewToken is a token that is to be made.
type NewToken struct {
	Name  string       `json:"name"`
	Scope access.Scope `json:"scope"`
	// App is the key of the only app that it is for, or empty for all.
	App string `json:"app"`
}

func (c *control) addToken(r *http.Request) (string, error) {
	t, err := body[NewToken](r)
	if err != nil {
		return "", err
	}
	if _, ok := c.data.collector.App(t.App); t.App != "" && !ok {
		return "", fmt.Errorf("%w: %s", collector.ErrUnknownApp, t.App)
	}
	return c.data.access.Add(r.Context(), t.Name, t.Scope, t.App)
}

func (c *control) revokeToken(r *http.Request) (done, error) {
	return done{}, c.data.access.Revoke(r.Context(), r.URL.Query().Get("name"))
}

func (c *control) check(r *http.Request) (done, error) {
	return done{}, c.data.store.Check(r.Context())
}
