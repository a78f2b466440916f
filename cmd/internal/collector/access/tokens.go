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
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/report"
)

// A Token describes a token. Those of an app have different names, and so have
// those for all apps.
type Token struct {
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	App     string    `json:"app,omitempty"` // see Grant
	Created time.Time `json:"created"`
}

// Add creates a token on behalf of by, which is [Machine] or a [Tokens.Grant].
// App is the key of the only app that the token is for, or empty for all. The
// token is not stored and cannot be shown again. The error is ErrExists if the
// app has a token of that name, and ErrTooMany if it has MaxTokens.
func (t *Tokens) Add(ctx context.Context, by Grant, name string, scope Scope, app string) (token string, err error) {
	switch {
	case !validName(name):
		return "", fmt.Errorf("name of the token does not have 1 to %d printable characters", MaxNameLen)
	case !slices.Contains(Scopes(), scope):
		return "", fmt.Errorf("scope %q is not one of %q", scope, Scopes())
	case app != "" && !report.ValidApp(app):
		return "", fmt.Errorf("%q is not the key of an app", app)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	switch {
	case err != nil:
		return "", err
	case s.named(app, name) >= 0:
		return "", ErrExists
	case s.ofApp(app) >= MaxTokens:
		return "", ErrTooMany
	case by.token != (hash{}) && s.token(by.token) == nil:
		return "", ErrNoToken // it has just been revoked
	}
	token = tokenPrefix + newSecret()
	s.tokens = append(s.tokens, storedToken{
		Token: Token{Name: name, Scope: scope, App: app, Created: time.Now().UTC().Truncate(time.Second)},
		Hash:  hashOf(token),
		By:    by.token,
	})
	if err := t.put(ctx, tokensSetting, s.tokens); err != nil {
		return "", fmt.Errorf("store token: %w", err)
	}
	t.cached.Store(s)
	t.log.Add(audit.Entry{Action: audit.TokenAdded, Actor: by.Name, App: app, Detail: string(scope) + " token " + name})
	return token, nil
}

// List returns the tokens in the order of their creation.
func (t *Tokens) List(ctx context.Context) ([]Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Token, len(s.tokens))
	for i := range s.tokens {
		list[i] = s.tokens[i].Token
	}
	return list, nil
}

// AnyApp stands for the app of a token whose name no other token has.
const AnyApp = "*"

// Revoke ends a token, all tokens that were created with it, and their sessions.
// App is that of the token, or AnyApp; then ErrAmbiguous means that there are
// several. ErrNoToken means that there is none.
func (t *Tokens) Revoke(ctx context.Context, by Grant, app, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	if err != nil {
		return err
	}
	i := s.named(app, name)
	switch {
	case i < 0:
		return ErrNoToken
	case app == AnyApp && slices.ContainsFunc(s.tokens[i+1:], func(t storedToken) bool { return t.Name == name }):
		return ErrAmbiguous
	}
	revoked := s.tree(s.tokens[i].Hash)
	entries := s.without(revoked, by.Name)
	// The token first: without it its sessions are worthless.
	if err := t.put(ctx, tokensSetting, s.tokens); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	t.cached.Store(s)
	for _, e := range entries {
		t.log.Add(e)
	}
	rest := slices.DeleteFunc(slices.Clone(s.sessions), func(s session) bool { return revoked[s.Token] })
	return t.putSessions(ctx, s, rest)
}

// tree returns a token and those that were created with it, and so on.
func (s *state) tree(root hash) map[hash]bool {
	found := map[hash]bool{root: true}
	for _, t := range s.tokens { // in the order of their creation
		if found[t.By] {
			found[t.Hash] = true
		}
	}
	return found
}

// without removes tokens, and returns what is to be said of it.
func (s *state) without(revoked map[hash]bool, by string) (entries []audit.Entry) {
	s.tokens = slices.DeleteFunc(s.tokens, func(t storedToken) bool {
		if revoked[t.Hash] {
			entries = append(entries, audit.Entry{Action: audit.TokenRevoked, Actor: by, App: t.App, Detail: "token " + t.Name})
		}
		return revoked[t.Hash]
	})
	return entries
}

func validName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= MaxNameLen && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

const (
	tokenPrefix = "rct_"
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretLen   = 32 // characters, of almost 6 bits each
)

// newSecret returns 190 random bits as letters and digits.
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

// Settings store tokens and sessions.
type Settings interface {
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

// The names of the settings.
const (
	tokensSetting   = "access.tokens"
	sessionsSetting = "access.sessions"
)

type state struct {
	tokens   []storedToken
	sessions []session
	read     time.Time
}

type storedToken struct {
	Token
	Hash hash `json:"hash"`
	// By is the token that created it; zero for [Machine].
	By hash `json:"by,omitzero"`
}

func (t *storedToken) grant() Grant { return Grant{t.Name, t.Scope, t.App, t.Hash} }

// A hash is the SHA-256 of a token or of a session's secret. Both are long and
// random, so they need no slower hash.
type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

// MarshalText implements [encoding.TextMarshaler].
func (h hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text[:min(len(text), hex.EncodedLen(len(h)))]); err != nil || n != len(h) {
		return errors.New("invalid hash")
	}
	return nil
}

func (s *state) token(h hash) *storedToken {
	return find(s.tokens, h, func(t *storedToken) *hash { return &t.Hash })
}

// session returns the session with a hash, or nil.
func (s *state) session(h hash) *session {
	return find(s.sessions, h, func(s *session) *hash { return &s.Hash })
}

// find takes a time that does not depend on the hashes.
func find[T any](items []T, want hash, hashOf func(*T) *hash) (found *T) {
	for i := range items {
		if subtle.ConstantTimeCompare(hashOf(&items[i])[:], want[:]) == 1 {
			found = &items[i]
		}
	}
	return found
}

func (s *state) named(app, name string) int {
	return slices.IndexFunc(s.tokens, func(t storedToken) bool { return t.Name == name && (t.App == app || app == AnyApp) })
}

// ofApp returns the number of tokens of an app.
func (s *state) ofApp(app string) (n int) {
	for _, t := range s.tokens {
		if t.App == app {
			n++
		}
	}
	return n
}

// current returns a state that is at most RefreshAfter old, or else the last one
// that could be read. One caller reads, and the others wait for it only if there
// is no state at all.
func (t *Tokens) current() *state {
	s := t.cached.Load()
	switch {
	case s == nil:
		t.mu.Lock()
	case time.Since(s.read) < RefreshAfter || !t.mu.TryLock():
		return s
	}
	defer t.mu.Unlock()
	if now := t.cached.Load(); now != s {
		return now
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	fresh, err := t.read(ctx)
	switch {
	case err == nil:
		s = fresh
	case s == nil:
		return &state{} // not cached, so that the next caller retries
	default:
		s = &state{s.tokens, s.sessions, time.Now()}
	}
	t.cached.Store(s)
	return s
}

// read reads the settings. The caller holds mu and owns the state.
func (t *Tokens) read(ctx context.Context) (*state, error) {
	s := &state{read: time.Now()}
	for name, into := range map[string]any{tokensSetting: &s.tokens, sessionsSetting: &s.sessions} {
		data, ok, err := t.settings.Setting(ctx, 0, name)
		if err == nil && ok {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return s, nil
}

func (t *Tokens) put(ctx context.Context, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return t.settings.PutSetting(ctx, 0, name, data)
}

// putSessions stores and caches the sessions. The caller holds mu.
func (t *Tokens) putSessions(ctx context.Context, s *state, sessions []session) error {
	if err := t.put(ctx, sessionsSetting, sessions); err != nil {
		return fmt.Errorf("store sessions: %w", err)
	}
	t.cached.Store(&state{s.tokens, sessions, s.read})
	return nil
}
