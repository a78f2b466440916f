// Package access says who may read and change what a collector holds. A token is made by the maintainer and shown once;
// programs send it as a bearer token, and people exchange it for a session in their browser.
//
// Of tokens and sessions only hashes are stored, in the settings of the collector, and they are compared in constant
// time. Sessions last 30 days at most, outlive a restart, and end at once when one signs out or when the token is
// revoked. Another process that shares the store sees a change within [RefreshAfter].
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/report"
)

// Settings is where tokens and sessions are kept; [*engine.Engine] is one.
type Settings interface {
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

// A Scope is what a token is for.
type Scope string

// The scopes. An admin may do what a reader may.
const (
	Read  Scope = "read"  // read all figures of the app
	Admin Scope = "admin" // change the app's settings
)

// A Grant says what its holder may do. The zero value grants nothing.
type Grant struct {
	// Name is the token's.
	Name string
	// Scope is what for.
	Scope Scope
	// App is the key of the only app that it is for; empty for all of them and the collector as a whole.
	App string
}

// May tells whether the holder may do what needs the scope with the app; the empty app is the collector as a whole.
func (g Grant) May(app string, need Scope) bool {
	return (g.App == "" || g.App == app) && (g.Scope == Admin || g.Scope == Read && need == Read)
}

// A Token is what is known of a token after it was made.
type Token struct {
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	App     string    `json:"app,omitempty"`
	Created time.Time `json:"created"`
}

// The limits.
const (
	// MaxTokens bounds the tokens of a collector.
	MaxTokens = 100
	// MaxNameLen bounds the name of a token, in printable characters; it has at least 1.
	MaxNameLen = 80
	// MaxSessions bounds the sessions of one token; a further one ends the oldest.
	MaxSessions = 20
	// SessionTime is how long a session lasts.
	SessionTime = 30 * 24 * time.Hour
	// RefreshAfter is how long what was read from the settings is used without looking again.
	RefreshAfter = 5 * time.Second
	// refreshTimeout bounds that look; when it fails, what was read before stays in use.
	refreshTimeout = 2 * time.Second
	// From one address prefix come MaxWrong wrong tokens at once, and then one each WrongEvery.
	MaxWrong   = 10
	WrongEvery = 30 * time.Second
	// attemptSlots bounds the prefixes that are remembered, in 64 KiB.
	attemptSlots = 4096
)

// The errors of a [Tokens].
var (
	ErrWrongToken = errors.New("token is not known")
	ErrNoToken    = errors.New("there is no token of that name")
	ErrExists     = errors.New("there is a token of that name already")
	ErrTooMany    = errors.New("there are too many tokens")
)

// A WaitError says that too many wrong tokens came from the address prefix.
type WaitError struct{ Wait time.Duration }

// Error implements error.
func (e *WaitError) Error() string { return "too many wrong tokens: try again later" }

// A Tokens keeps the tokens and sessions. Make it with [New]. It is safe for concurrent use.
type Tokens struct {
	settings Settings
	attempts *limit.Table

	// state is what was read last; it is replaced and never changed.
	state atomic.Pointer[state]
	// mu is held while the settings are read or changed.
	mu sync.Mutex
}

// New makes a keeper. It reads nothing yet.
func New(settings Settings) *Tokens {
	return &Tokens{settings: settings, attempts: limit.New(attemptSlots, WrongEvery, MaxWrong)}
}

// A hash is the SHA-256 of a token or of a session's secret. Both are random and long, so no slower hash is needed.
type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

// MarshalText implements [encoding.TextMarshaler].
func (h hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text[:min(len(text), hex.EncodedLen(len(h)))]); err != nil || n != len(h) {
		return errors.New("hash cannot be read")
	}
	return nil
}

type storedToken struct {
	Token
	Hash hash `json:"hash"`
}

// A state is all tokens and sessions.
type state struct {
	tokens   []storedToken
	sessions []session
	read     time.Time
}

// find gives the token with that hash. It takes as long whether there is one or not.
func (s *state) find(h hash) (storedToken, bool) {
	found := -1
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(s.tokens[i].Hash[:], h[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return storedToken{}, false
	}
	return s.tokens[found], true
}

// The names of the settings.
const (
	tokensSetting   = "access.tokens"
	sessionsSetting = "access.sessions"
)

// Add makes a token. App is the key of the only app it is for, or empty for all. The token is not stored and cannot be
// shown again. The name must be new: ErrExists, and there are at most MaxTokens: ErrTooMany.
func (k *Tokens) Add(ctx context.Context, name string, scope Scope, app string) (token string, err error) {
	switch {
	case !validName(name):
		return "", fmt.Errorf("name of the token is not 1 to %d printable characters", MaxNameLen)
	case scope != Read && scope != Admin:
		return "", fmt.Errorf("scope is %q, and neither %q nor %q", scope, Read, Admin)
	case app != "" && !report.ValidApp(app):
		return "", fmt.Errorf("app %q of the token cannot be an app's key", app)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.read(ctx)
	switch {
	case err != nil:
		return "", err
	case slices.ContainsFunc(s.tokens, func(t storedToken) bool { return t.Name == name }):
		return "", ErrExists
	case len(s.tokens) >= MaxTokens:
		return "", ErrTooMany
	}
	token = tokenPrefix + newSecret()
	s.tokens = append(s.tokens, storedToken{
		Token: Token{Name: name, Scope: scope, App: app, Created: time.Now().UTC().Truncate(time.Second)},
		Hash:  hashOf(token),
	})
	if err := k.put(ctx, tokensSetting, s.tokens); err != nil {
		return "", fmt.Errorf("store token: %w", err)
	}
	k.state.Store(s)
	return token, nil
}

// List gives the tokens in the order in which they were made.
func (k *Tokens) List(ctx context.Context) ([]Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Token, len(s.tokens))
	for i := range s.tokens {
		list[i] = s.tokens[i].Token
	}
	return list, nil
}

// Revoke ends a token and its sessions; ErrNoToken says that there is none of that name.
func (k *Tokens) Revoke(ctx context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.read(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.tokens, func(t storedToken) bool { return t.Name == name })
	if i < 0 {
		return ErrNoToken
	}
	revoked := s.tokens[i].Hash
	s.tokens = slices.Delete(s.tokens, i, i+1)
	// The token first: without it its sessions are worth nothing, whatever happens now.
	if err := k.put(ctx, tokensSetting, s.tokens); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	k.state.Store(s)
	rest := slices.DeleteFunc(slices.Clone(s.sessions), func(s session) bool { return s.Token == revoked })
	return k.putSessions(ctx, s, rest)
}

// Check gives what a token grants.
func (k *Tokens) Check(token string) (Grant, bool) {
	found, ok := k.current().find(hashOf(token))
	if !ok || !strings.HasPrefix(token, tokenPrefix) {
		return Grant{}, false
	}
	return Grant{found.Name, found.Scope, found.App}, true
}

// Grant gives what the bearer token of a request grants, or, when it has no Authorization header, its session.
func (k *Tokens) Grant(r *http.Request) (Grant, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Grant{}, false
		}
		return k.Check(strings.TrimSpace(token))
	}
	return k.sessionGrant(r)
}

// current gives a state that is not older than RefreshAfter, or the last one that could be read. One caller reads, and
// the others do not wait for it unless there is none at all.
func (k *Tokens) current() *state {
	s := k.state.Load()
	switch {
	case s == nil:
		k.mu.Lock()
	case time.Since(s.read) < RefreshAfter || !k.mu.TryLock():
		return s
	}
	defer k.mu.Unlock()
	if now := k.state.Load(); now != s {
		return now
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	fresh, err := k.read(ctx)
	switch {
	case err == nil:
		s = fresh
	case s == nil:
		return &state{} // and the next caller tries again
	default:
		s = &state{s.tokens, s.sessions, time.Now()}
	}
	k.state.Store(s)
	return s
}

// read reads the settings. The caller holds mu and owns the state.
func (k *Tokens) read(ctx context.Context) (*state, error) {
	s := &state{read: time.Now()}
	for name, into := range map[string]any{tokensSetting: &s.tokens, sessionsSetting: &s.sessions} {
		data, ok, err := k.settings.Setting(ctx, 0, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if !ok {
			continue
		}
		if err := json.Unmarshal(data, into); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return s, nil
}

func (k *Tokens) put(ctx context.Context, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return k.settings.PutSetting(ctx, 0, name, data)
}

const (
	tokenPrefix = "rct_"
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretLen   = 32 // characters, of almost 6 bits each
)

// newSecret gives 190 random bits as letters and digits.
func newSecret() string {
	text := make([]byte, 0, secretLen)
	var random [64]byte
	for {
		rand.Read(random[:])
		for _, b := range random {
			if b >= 4*62 { // so that all characters are equally likely
				continue
			}
			if text = append(text, alphabet[b%62]); len(text) == secretLen {
				return string(text)
			}
		}
	}
}

func validName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= MaxNameLen && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
