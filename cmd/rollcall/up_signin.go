package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// upToken is the name of the token behind the sign-in link. It is revoked when
// up ends, and so are the sessions that it started.
const upToken = "rollcall up"

// A signInLink is a secret URL path that signs one browser in.
type signInLink struct {
	path    string
	used    atomic.Bool
	enabled chan struct{}
	tokens  *access.Tokens // set before enabled is closed, as is token
	token   string
}

func newSignInLink() *signInLink {
	return &signInLink{path: "/up/" + rand.Text(), enabled: make(chan struct{})}
}

// enable creates the token behind the link.
func (l *signInLink) enable(ctx context.Context, tokens *access.Tokens) (err error) {
	l.tokens = tokens
	if err := revokeSignInLink(ctx, tokens); err != nil { // one that was killed did not revoke it
		return err
	}
	if l.token, err = tokens.Add(ctx, access.Machine, upToken, access.Admin, ""); err == nil {
		close(l.enabled)
	}
	return err
}

// revokeSignInLink revokes the token behind the link.
func revokeSignInLink(ctx context.Context, tokens *access.Tokens) error {
	err := tokens.Revoke(ctx, access.Machine, "", upToken)
	if errors.Is(err, access.ErrNoToken) {
		return nil
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
		if l.used.Swap(true) {
			http.Error(w, "This link was used before. Start rollcall up again, or sign in with a token: see rollcall collector token.", http.StatusGone)
			return
		}
		if err := l.tokens.SignIn(w, r, l.token); err != nil {
			l.used.Store(false)
			http.Error(w, "Signing in failed: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}
