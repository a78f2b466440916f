package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// upToken is the name of the token behind the sign-in link. Each start
// replaces it, which invalidates the previous link.
const upToken = "rollcall up"

// A signInLink is a secret URL path that signs a browser in.
type signInLink struct {
	path    string
	enabled chan struct{}
	tokens  *access.Tokens // set before enabled is closed, as is token
	token   string
}

func newSignInLink() *signInLink {
	return &signInLink{path: "/up/" + rand.Text(), enabled: make(chan struct{})}
}

// enable creates the token behind the link.
func (l *signInLink) enable(ctx context.Context, tokens *access.Tokens) (err error) {
	if err := tokens.Revoke(ctx, upToken); err != nil && !errors.Is(err, access.ErrNoToken) {
		return err
	}
	l.tokens = tokens
	if l.token, err = tokens.Add(ctx, upToken, access.Admin, ""); err == nil {
		close(l.enabled)
	}
	return err
}

// wrap answers requests for the link, and leaves all others to server.
func (l *signInLink) wrap(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(l.path)) != 1 || r.Method != http.MethodGet {
			server.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		select {
		case <-l.enabled:
		case <-r.Context().Done():
			return
		}
		if err := l.tokens.SignIn(w, r, l.token); err != nil {
			http.Error(w, "Signing in failed: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}
