package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// A session is a browser that showed a token.
type session struct {
	Hash  hash      `json:"hash"`  // of the cookie
	Token hash      `json:"token"` // of the token
	Ends  time.Time `json:"ends"`
}

// The names of the cookie. With the prefix a browser takes it only over TLS and from this very host, so that no other
// one below the same domain can set it.
const (
	plainCookie  = "rollcall_session"
	secureCookie = "__Host-rollcall_session"
)

// isSecure tells whether the browser came over TLS. A server behind a proxy that ends TLS, and which it trusts, sets the
// scheme of the request's URL to https.
func isSecure(r *http.Request) bool { return r.TLS != nil || r.URL.Scheme == "https" }

func cookieName(r *http.Request) string {
	if isSecure(r) {
		return secureCookie
	}
	return plainCookie
}

// SignIn begins a session of the browser if the token is right. The errors are ErrWrongToken, a [WaitError] when too many
// wrong tokens came from the address prefix of the request's RemoteAddr, and those of the settings. It writes a header
// of the answer, and no more. The caller makes sure that no other site caused the request.
func (k *Tokens) SignIn(w http.ResponseWriter, r *http.Request, token string) error {
	from := limit.Client(r.RemoteAddr)
	if wait, ok := k.attempts.Left(from); !ok {
		return &WaitError{wait}
	}
	if _, ok := k.Check(token); !ok {
		k.attempts.Take(from)
		return ErrWrongToken
	}
	secret := newSecret()
	if err := k.begin(r.Context(), hashOf(secret), hashOf(token)); err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, secret, int(SessionTime/time.Second)))
	return nil
}

func (k *Tokens) begin(ctx context.Context, secret, token hash) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.read(ctx)
	if err != nil {
		return err
	}
	if _, ok := s.find(token); !ok {
		return ErrWrongToken // revoked meanwhile
	}
	now := time.Now()
	kept := slices.DeleteFunc(slices.Clone(s.sessions), func(other session) bool {
		_, ok := s.find(other.Token)
		return !ok || !now.Before(other.Ends)
	})
	for countOf(kept, token) >= MaxSessions {
		oldest := slices.IndexFunc(kept, func(other session) bool { return other.Token == token })
		kept = slices.Delete(kept, oldest, oldest+1)
	}
	return k.putSessions(ctx, s, append(kept, session{secret, token, now.Add(SessionTime).UTC()}))
}

func countOf(sessions []session, token hash) (n int) {
	for i := range sessions {
		if sessions[i].Token == token {
			n++
		}
	}
	return n
}

// putSessions stores the sessions, and then a state that has them. The caller holds mu.
func (k *Tokens) putSessions(ctx context.Context, s *state, sessions []session) error {
	if err := k.put(ctx, sessionsSetting, sessions); err != nil {
		return fmt.Errorf("store sessions: %w", err)
	}
	k.state.Store(&state{s.tokens, sessions, s.read})
	return nil
}

// SignOut ends the session of the browser, if it has one. It writes a header of the answer, and no more. When the error
// is not nil the browser forgets the session, but who copied the cookie can still use it.
func (k *Tokens) SignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, cookie(r, "", -1))
	sent, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	ended := hashOf(sent.Value)
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.read(r.Context())
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(s.sessions), func(other session) bool { return other.Hash == ended })
	if len(kept) == len(s.sessions) {
		return nil
	}
	return k.putSessions(r.Context(), s, kept)
}

// sessionGrant gives what the session of the browser grants.
func (k *Tokens) sessionGrant(r *http.Request) (Grant, bool) {
	sent, err := r.Cookie(cookieName(r))
	if errors.Is(err, http.ErrNoCookie) || len(sent.Value) != secretLen {
		return Grant{}, false
	}
	s := k.current()
	wanted := hashOf(sent.Value)
	found := -1
	for i := range s.sessions {
		if subtle.ConstantTimeCompare(s.sessions[i].Hash[:], wanted[:]) == 1 {
			found = i
		}
	}
	if found < 0 || !time.Now().Before(s.sessions[found].Ends) {
		return Grant{}, false
	}
	token, ok := s.find(s.sessions[found].Token)
	if !ok {
		return Grant{}, false
	}
	return Grant{token.Name, token.Scope, token.App}, true
}

// cookie gives the session's cookie; a negative age removes it.
func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name:     cookieName(r),
		Value:    value,
		Path:     "/",
		MaxAge:   age,
		Secure:   isSecure(r),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}
