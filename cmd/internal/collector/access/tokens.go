package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/report"
)

// A Token describes a token.
type Token struct {
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	App     string    `json:"app,omitempty"` // see Grant
	Created time.Time `json:"created"`
}

func (t *Token) grant() Grant { return Grant{t.Name, t.Scope, t.App} }

// Add creates a token. App is the key of the only app that it is for, or empty
// for all. The token is not stored and cannot be shown again. The error is
// ErrExists if the name is taken, and ErrTooMany if there are MaxTokens.
func (t *Tokens) Add(ctx context.Context, name string, scope Scope, app string) (token string, err error) {
	switch {
	case !validName(name):
		return "", fmt.Errorf("name of the token does not have 1 to %d printable characters", MaxNameLen)
	case scope != Read && scope != Admin:
		return "", fmt.Errorf("scope %q is neither %q nor %q", scope, Read, Admin)
	case app != "" && !report.ValidApp(app):
		return "", fmt.Errorf("%q is not the key of an app", app)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	switch {
	case err != nil:
		return "", err
	case s.named(name) >= 0:
		return "", ErrExists
	case len(s.tokens) >= MaxTokens:
		return "", ErrTooMany
	}
	token = tokenPrefix + newSecret()
	s.tokens = append(s.tokens, storedToken{
		Token: Token{Name: name, Scope: scope, App: app, Created: time.Now().UTC().Truncate(time.Second)},
		Hash:  hashOf(token),
	})
	if err := t.put(ctx, tokensSetting, s.tokens); err != nil {
		return "", fmt.Errorf("store token: %w", err)
	}
	t.cached.Store(s)
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

// Revoke ends a token and its sessions. The error is ErrNoToken if there is no
// token with this name.
func (t *Tokens) Revoke(ctx context.Context, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	if err != nil {
		return err
	}
	i := s.named(name)
	if i < 0 {
		return ErrNoToken
	}
	revoked := s.tokens[i].Hash
	s.tokens = slices.Delete(s.tokens, i, i+1)
	// The token first: without it its sessions are worthless, whatever happens
	// now.
	if err := t.put(ctx, tokensSetting, s.tokens); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	t.cached.Store(s)
	rest := slices.DeleteFunc(slices.Clone(s.sessions), func(s session) bool { return s.Token == revoked })
	return t.putSessions(ctx, s, rest)
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
