// Package access decides who may read and change the data of a collector. The
// maintainer creates tokens; each is shown once. Programs send them as
// bearer tokens, and people exchange them for a session in their browser.
//
// Only hashes of tokens and sessions are stored, in the settings of the
// collector, and they are compared in constant time. Sessions last at most 30
// days, survive a restart, and end at once when the user signs out or the token
// is revoked. Another process that shares the store notices a change within
// [RefreshAfter].
package access

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// A Scope is what a token permits.
type Scope string

// The scopes. Admin includes the others.
const (
	Read    Scope = "read"    // read all figures of the app
	Release Scope = "release" // publish the app's releases, for the program that builds it
	Note    Scope = "note"    // add and remove the app's notes, for a program that deploys
	Feed    Scope = "feed"    // read the feed of weekly reports, also by its address
	Admin   Scope = "admin"   // change the app's settings
)

// A Grant is what the holder of a token may do. The zero value grants nothing.
type Grant struct {
	// Name is the name of the token.
	Name  string
	Scope Scope
	// App is the key of the only app that the grant is for. If it is empty, the
	// grant is for all apps and for the collector as a whole.
	App string

	token hash // of the token
}

// Machine is the grant of whoever can read the data directory.
var Machine = Grant{Name: audit.CommandLine, Scope: Admin}

// May reports whether the grant includes a scope for an app, or for all if empty.
func (g Grant) May(app string, need Scope) bool {
	return (g.App == "" || g.App == app) && (g.Scope == Admin || g.Scope == need)
}

// Scopes returns all scopes.
func Scopes() []Scope { return []Scope{Read, Feed, Release, Note, Admin} }

// The limits.
const (
	// MaxTokens bounds the tokens for all apps, and those of each app, so that
	// no app's admin can use up those of others.
	MaxTokens = 100
	// MaxNameLen bounds the name of a token, in printable characters; 1 at least.
	MaxNameLen = 80
	// MaxSessions bounds the sessions of a token. A further one ends the oldest.
	MaxSessions = 20
	// SessionTime is how long a session lasts.
	SessionTime = 30 * 24 * time.Hour
	// RefreshAfter is how long the settings are cached.
	RefreshAfter = 5 * time.Second
	// refreshTimeout bounds a refresh. If it fails, the cached state stays.
	refreshTimeout = 2 * time.Second
	// MaxWrong is how many wrong tokens an address prefix may try at once, and
	// WrongEvery is the interval between further ones.
	MaxWrong   = 10
	WrongEvery = 30 * time.Second
	// attemptSlots is the number of prefixes to remember, in 64 KiB.
	attemptSlots = 4096
)

// The errors of [Tokens].
var (
	ErrWrongToken = errors.New("unknown token")
	ErrNoToken    = errors.New("there is no token with this name")
	ErrExists     = errors.New("there is already a token with this name")
	ErrTooMany    = errors.New("there are too many tokens")
	ErrAmbiguous  = errors.New("several apps have a token with this name")
)

// A WaitError means that the address prefix has tried too many wrong tokens.
type WaitError struct{ Wait time.Duration }

// Error implements error.
func (e *WaitError) Error() string { return "too many wrong tokens: try again later" }

// Tokens are the tokens and sessions of a collector. Create them with [New]. They
// are safe for concurrent use.
type Tokens struct {
	settings Settings
	attempts *limit.Table
	log      *audit.Log

	// cached is the state that was read last. It is replaced, never changed.
	cached atomic.Pointer[state]
	// mu is held while the settings are read or changed.
	mu sync.Mutex
}

// New returns the tokens in the settings. It reads nothing yet. Log, if not nil,
// receives what happens to them.
func New(settings Settings, log *audit.Log) *Tokens {
	return &Tokens{settings: settings, log: log, attempts: limit.New(attemptSlots, WrongEvery, MaxWrong)}
}

// Grant returns the grant of a request: that of its bearer token or, if it has no
// Authorization header, that of its session.
func (t *Tokens) Grant(r *http.Request) (Grant, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Grant{}, false
		}
		return t.Check(strings.TrimSpace(token))
	}
	return t.sessionGrant(r)
}

// Check returns the grant of a token.
func (t *Tokens) Check(token string) (Grant, bool) {
	found := t.current().token(hashOf(token))
	if found == nil || !strings.HasPrefix(token, tokenPrefix) {
		t.log.Add(audit.Entry{Action: audit.TokenRefused, Actor: audit.Nobody})
		return Grant{}, false
	}
	return found.grant(), true
}
