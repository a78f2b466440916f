// Package control lets people and programs at the machine of a collector
// administer it, whether it runs or not: see [Connect].
package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// A Server executes the commands of a [Client]. The server of a running
// collector listens on loopback. Every command needs a token that only those
// who can read the data directory know.
type Server struct {
	dir     *datadir.Dir
	token   string
	http    *http.Server
	editing sync.Mutex // held while an edit is compared and saved
}

// ErrEdited means that somebody else changed the value after it was read.
var ErrEdited = errors.New("somebody else changed it meanwhile")

// An edit is a value as the client read it, and as it should become.
type edit[T any] struct {
	Was json.RawMessage `json:"was"`
	Now T               `json:"now"`
}

// fits returns ErrEdited unless value is what the client read.
func (e edit[T]) fits(value T) error {
	is, err := json.Marshal(value)
	if err == nil && !bytes.Equal(e.Was, is) {
		err = ErrEdited
	}
	return err
}

// maxCommandBytes bounds the body of a command other than an import.
const maxCommandBytes = 256 << 10

// NewServer returns a server for a data directory; it does not listen yet.
func NewServer(dir *datadir.Dir, log *slog.Logger) *Server {
	s := &Server{dir: dir, token: rand.Text()}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// Listen serves on loopback, and writes the [datadir.ControlFile].
func (s *Server) Listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	text, err := json.Marshal(controlFile{listener.Addr().String(), s.token})
	if err == nil {
		err = durable.Replace(filepath.Join(s.dir.Path, datadir.ControlFile), append(text, '\n'))
	}
	if err != nil {
		listener.Close()
		return fmt.Errorf("write %s: %w", datadir.ControlFile, err)
	}
	go s.http.Serve(listener)
	return nil
}

// Shutdown waits for the current commands until ctx ends.
func (s *Server) Shutdown(ctx context.Context) {
	_ = os.Remove(filepath.Join(s.dir.Path, datadir.ControlFile))
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

func (s *Server) commands() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", command(func(*http.Request) (none, error) { return none{}, nil }))
	mux.HandleFunc("GET /apps", command(func(*http.Request) ([]collector.App, error) { return s.dir.Collector.Apps(), nil }))
	mux.HandleFunc("POST /apps", command(s.addApp))
	mux.HandleFunc("PUT /apps/{app}", command(s.updateApp))
	mux.HandleFunc("GET /apps/{app}/declared", command(s.declared))
	mux.HandleFunc("PUT /apps/{app}/declared", command(s.declare))
	mux.HandleFunc("POST /apps/{app}/clear", command(s.clear))
	mux.HandleFunc("GET /apps/{app}/refused", command(s.refusedIDs))
	mux.HandleFunc("PUT /apps/{app}/refused/{id}", command(s.refuseID))
	mux.HandleFunc("DELETE /apps/{app}/refused/{id}", command(s.allowID))
	mux.HandleFunc("PUT /apps/{app}/refused-keys/{key}", command(s.refuseKey))
	mux.HandleFunc("DELETE /apps/{app}/refused-keys/{key}", command(s.allowKey))
	mux.HandleFunc("GET /apps/{app}/releases", command(s.releases))
	mux.HandleFunc("PUT /apps/{app}/releases", command(s.setRelease))
	mux.HandleFunc("DELETE /apps/{app}/releases", command(s.removeRelease))
	mux.HandleFunc("GET /apps/{app}/notes", command(s.notes))
	mux.HandleFunc("POST /apps/{app}/notes", command(s.addNote))
	mux.HandleFunc("DELETE /apps/{app}/notes/{id}", command(s.removeNote))
	mux.HandleFunc("GET /apps/{app}/series", command(s.series))
	mux.HandleFunc("GET /apps/{app}/totals", s.exportTotals)
	mux.HandleFunc("POST /apps/{app}/totals", command(s.importTotals))
	mux.HandleFunc("POST /apps/{app}/history", command(s.importHistory))
	mux.HandleFunc("GET /tokens", command(func(r *http.Request) ([]access.Token, error) { return s.dir.Tokens.List(r.Context()) }))
	mux.HandleFunc("POST /tokens", command(s.addToken))
	mux.HandleFunc("DELETE /tokens", command(s.revokeToken))
	mux.HandleFunc("GET /audit", command(func(r *http.Request) ([]audit.Entry, error) {
		return s.dir.Audit.Entries(r.Context(), r.URL.Query().Get("app"))
	}))
	mux.HandleFunc("GET /backup", s.backup)
	mux.HandleFunc("POST /check", command(func(r *http.Request) (none, error) { return none{}, s.dir.Store.Check(r.Context()) }))
	mux.HandleFunc("POST /scrub", command(func(r *http.Request) (none, error) { return none{}, s.dir.Scrub(r.Context()) }))
	mux.HandleFunc("GET /warnings", command(func(r *http.Request) ([]postgres.Warning, error) { return s.dir.Warnings(r.Context()) }))
	mux.HandleFunc("GET /clock", command(func(*http.Request) (collector.Clock, error) { return s.dir.Collector.Clock(), nil }))
	mux.HandleFunc("POST /day", command(s.fixDay))
	return mux
}

// Trusted returns the handler of the commands for callers that are known to have
// the collector's secret.
func (s *Server) Trusted() http.Handler { return s.commands() }

// handler answers those who know the token.
func (s *Server) handler() http.Handler {
	mux := s.commands()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func command[T any](do func(r *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := do(r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // fails only if the client is gone
	}
}

type failure struct {
	Error string `json:"error"`
	// Code identifies one of the errors in codes.
	Code string `json:"code,omitempty"`
}

// codes are the errors that keep their identity on the way to a client.
var codes = map[string]error{
	"unknown_app":   collector.ErrUnknownApp,
	"app_exists":    collector.ErrAppExists,
	"too_many_apps": collector.ErrTooManyApps,
	"not_empty":     collector.ErrNotEmpty,
	"archive":       collector.ErrArchive,
	"history":       history.ErrInvalid,
	"imported":      collector.ErrImported,
	"totals_only":   collector.ErrTotalsOnly,
	"not_refused":   collector.ErrNotRefused,
	"too_many_ids":  collector.ErrTooManyRefusedIDs,
	"no_release":    release.ErrNone,
	"no_note":       note.ErrNone,
	"no_token":      access.ErrNoToken,
	"token_exists":  access.ErrExists,
	"which_token":   access.ErrAmbiguous,
	"unavailable":   collector.ErrUnavailable,
	"closed":        collector.ErrClosed,
	"edited":        ErrEdited,
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

type none struct{}

func body[T any](r *http.Request) (value T, err error) {
	if err = json.NewDecoder(io.LimitReader(r.Body, maxCommandBytes)).Decode(&value); err != nil {
		err = fmt.Errorf("read command: %w", err)
	}
	return value, err
}

func (s *Server) app(r *http.Request) (collector.App, error) {
	app, ok := s.dir.Collector.App(r.PathValue("app"))
	if !ok {
		return app, fmt.Errorf("%w: %s", collector.ErrUnknownApp, r.PathValue("app"))
	}
	return app, nil
}

func (s *Server) addApp(r *http.Request) (collector.App, error) {
	app, err := body[collector.App](r)
	if err != nil {
		return app, err
	}
	added, err := s.dir.Collector.AddApp(r.Context(), app)
	if err == nil {
		s.audit(audit.AppAdded, added.Key, "")
	}
	return added, err
}

func (s *Server) updateApp(r *http.Request) (none, error) {
	e, err := body[edit[collector.App]](r)
	if err != nil {
		return none{}, err
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	before, err := s.app(r)
	if err == nil {
		err = e.fits(before)
	}
	if err != nil {
		return none{}, err
	}
	e.Now.Key = before.Key
	if err := s.dir.Collector.UpdateApp(r.Context(), e.Now); err != nil {
		return none{}, err
	}
	s.audit(audit.AppChanged, before.Key, audit.Changed(before, e.Now))
	return none{}, nil
}

// audit notes what somebody at the command line did.
func (s *Server) audit(action audit.Action, app, detail string) {
	s.dir.Audit.Add(audit.Entry{Action: action, Actor: audit.CommandLine, App: app, Detail: detail})
}

func (s *Server) declared(r *http.Request) (collector.Declarations, error) {
	app, err := s.app(r)
	if err != nil {
		return collector.Declarations{}, err
	}
	return s.dir.Collector.Declared(app.Num)
}

func (s *Server) declare(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	e, err := body[edit[collector.Declarations]](r)
	if err != nil {
		return none{}, err
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	before, err := s.dir.Collector.Declared(app.Num)
	if err == nil {
		err = e.fits(before)
	}
	if err != nil {
		return none{}, err
	}
	if err := s.dir.Collector.Declare(r.Context(), app.Num, e.Now); err != nil {
		return none{}, err
	}
	s.audit(audit.Declared, app.Key, "")
	return none{}, nil
}

// Cleared is the result of [Client.Clear].
type Cleared struct {
	Freed      int                `json:"freed"`
	TurnedAway figures.TurnedAway `json:"turned_away"`
}

func (s *Server) clear(r *http.Request) (Cleared, error) {
	app, err := s.app(r)
	if err != nil {
		return Cleared{}, err
	}
	var c Cleared
	if c.TurnedAway, err = s.dir.Collector.TurnedAway(app.Num); err != nil {
		return Cleared{}, err
	}
	if c.Freed, err = s.dir.Collector.Clear(r.Context(), app.Num); err != nil {
		return Cleared{}, err
	}
	s.audit(audit.ListCleared, app.Key, "")
	return c, nil
}

func (s *Server) refusedIDs(r *http.Request) ([]collector.RefusedID, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	return s.dir.Collector.RefusedIDs(app.Num)
}

func (s *Server) refuseID(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	if err := s.dir.Collector.RefuseID(r.Context(), app.Num, r.PathValue("id")); err != nil {
		return none{}, err
	}
	s.audit(audit.IDRefused, app.Key, "")
	return none{}, nil
}

func (s *Server) allowID(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	if err := s.dir.Collector.AllowID(r.Context(), app.Num, r.PathValue("id")); err != nil {
		return none{}, err
	}
	s.audit(audit.IDAllowed, app.Key, "")
	return none{}, nil
}

// refuseKey and allowKey do the same without the ID, for a verb on another machine.
func (s *Server) refuseKey(r *http.Request) (none, error) {
	app, key, err := s.appAndKey(r)
	if err != nil {
		return none{}, err
	}
	if err := s.dir.Collector.RefuseKey(r.Context(), app.Num, key, r.URL.Query().Get("shown")); err != nil {
		return none{}, err
	}
	s.audit(audit.IDRefused, app.Key, "")
	return none{}, nil
}

func (s *Server) allowKey(r *http.Request) (none, error) {
	app, key, err := s.appAndKey(r)
	if err != nil {
		return none{}, err
	}
	if err := s.dir.Collector.AllowKey(r.Context(), app.Num, key); err != nil {
		return none{}, err
	}
	s.audit(audit.IDAllowed, app.Key, "")
	return none{}, nil
}

func (s *Server) appAndKey(r *http.Request) (app collector.App, key collector.Key, err error) {
	bytes, err := hex.DecodeString(r.PathValue("key"))
	if err != nil || len(bytes) != len(key) {
		return app, key, fmt.Errorf("%q is not a key", r.PathValue("key"))
	}
	app, err = s.app(r)
	return app, collector.Key(bytes), err
}

// FixedDay is the result of [Client.FixDay].
type FixedDay struct {
	// Before is the day that was being counted, and Now the one that is counted
	// from now on.
	Before collector.Day `json:"before"`
	Now    collector.Day `json:"now"`
}

func (s *Server) fixDay(r *http.Request) (FixedDay, error) {
	before, now, err := s.dir.Collector.FixDay(r.Context())
	if err != nil {
		return FixedDay{}, err
	}
	s.audit(audit.DayConfirmed, "", fmt.Sprintf("%s, not %s", now, before))
	return FixedDay{before, now}, nil
}

func (s *Server) series(r *http.Request) (figures.Series, error) {
	app, err := s.app(r)
	if err != nil {
		return figures.Series{}, err
	}
	today, since, err := s.dir.Collector.Today(app.Num)
	if err != nil {
		return figures.Series{}, err
	}
	s.audit(audit.Exported, app.Key, "days")
	since = max(since, today-collector.MaxRangeDays+1)
	return s.dir.Collector.Series(r.Context(), app.Num, collector.Range{From: since, To: today}, figures.View{})
}

// NewToken describes a token to create.
type NewToken struct {
	Name  string       `json:"name"`
	Scope access.Scope `json:"scope"`
	// App limits the token to the app with this key; empty is all apps.
	App string `json:"app"`
}

func (s *Server) addToken(r *http.Request) (string, error) {
	t, err := body[NewToken](r)
	if err != nil {
		return "", err
	}
	if _, ok := s.dir.Collector.App(t.App); t.App != "" && !ok {
		return "", fmt.Errorf("%w: %s", collector.ErrUnknownApp, t.App)
	}
	return s.dir.Tokens.Add(r.Context(), access.Machine, t.Name, t.Scope, t.App)
}

func (s *Server) revokeToken(r *http.Request) (none, error) {
	return none{}, s.dir.Tokens.Revoke(r.Context(), access.Machine, r.URL.Query().Get("app"), r.URL.Query().Get("name"))
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	s.audit(audit.BackedUp, "", "")
	err := s.dir.Backup(r.Context(), func(file *os.File) error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		// The length lets the client notice a copy that is cut short.
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		_, _ = io.Copy(w, file)
		return nil
	})
	if err != nil {
		fail(w, fmt.Errorf("back up: %w", err))
	}
}
