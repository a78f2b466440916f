package access

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// A session records that a user signed in with a token in one browser.
type session struct {
	Hash  hash      `json:"hash"`  // of the cookie
	Token hash      `json:"token"` // of the token
	Ends  time.Time `json:"ends"`
}

// The names of the cookie. With the prefix, a browser accepts it only over TLS
// and from this host, so that no other host of the domain can set it.
const (
	plainCookie  = "rollcall_session"
	secureCookie = "__Host-rollcall_session"
)

// SignIn starts a session of the browser if the token is right. The errors are
// ErrWrongToken, a [WaitError] if the address prefix of the request's RemoteAddr
// tried too many wrong tokens, and those of the settings. SignIn only writes
// a header of the answer. The caller ensures that no other site caused the
// request.
func (t *Tokens) SignIn(w http.ResponseWriter, r *http.Request, token string) error {
	// The right token is always let in: wrong ones of the same address must not
	// lock its owner out, and 190 random bits are not guessed.
	grant, ok := t.Check(token)
	if !ok {
		if wait, ok := t.attempts.Take(limit.Client(r)); !ok {
			return &WaitError{wait}
		}
		return ErrWrongToken
	}
	secret := newSecret()
	if err := t.addSession(r.Context(), hashOf(secret), hashOf(token)); err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, secret, int(SessionTime/time.Second)))
	t.log.Add(audit.Entry{Action: audit.SignedIn, Actor: grant.Name, App: grant.App})
	return nil
}

// addSession stores a session. It removes sessions that have ended, and the
// oldest ones of the token beyond MaxSessions.
func (t *Tokens) addSession(ctx context.Context, secret, token hash) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(ctx)
	if err != nil {
		return err
	}
	if s.token(token) == nil {
		return ErrWrongToken // it has just been revoked
	}
	now := time.Now()
	kept := slices.DeleteFunc(slices.Clone(s.sessions), func(other session) bool {
		return s.token(other.Token) == nil || !now.Before(other.Ends)
	})
	ofToken := 1
	for i, other := range slices.Backward(kept) {
		if other.Token == token {
			if ofToken++; ofToken > MaxSessions {
				kept = slices.Delete(kept, i, i+1)
			}
		}
	}
	return t.putSessions(ctx, s, append(kept, session{secret, token, now.Add(SessionTime).UTC()}))
}

// SignOut ends the session of the browser, if there is one. It only writes a
// header of the answer. If it returns an error, the browser forgets the session,
// but a copy of the cookie remains valid.
func (t *Tokens) SignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, cookie(r, "", -1))
	sent, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	ended := hashOf(sent.Value)
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.read(r.Context())
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(s.sessions), func(other session) bool { return other.Hash == ended })
	if len(kept) == len(s.sessions) {
		return nil
	}
	if token := s.token(s.session(ended).Token); token != nil {
		t.log.Add(audit.Entry{Action: audit.SignedOut, Actor: token.Name, App: token.App})
	}
	return t.putSessions(r.Context(), s, kept)
}

func (t *Tokens) sessionGrant(r *http.Request) (Grant, bool) {
	sent, err := r.Cookie(cookieName(r))
	if err != nil || len(sent.Value) != secretLen {
		return Grant{}, false
	}
	s := t.current()
	found := s.session(hashOf(sent.Value))
	if found == nil || !time.Now().Before(found.Ends) {
		return Grant{}, false
	}
	token := s.token(found.Token)
	if token == nil {
		return Grant{}, false
	}
	return token.grant(), true
}

// cookie returns the cookie of a session. A negative age removes it.
func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: age,
		Secure: isSecure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func cookieName(r *http.Request) string {
	if isSecure(r) {
		return secureCookie
	}
	return plainCookie
}

// isSecure reports whether the browser uses TLS. Behind a trusted proxy that
// terminates TLS, the server sets the URL scheme to https.
func isSecure(r *http.Request) bool { return r.TLS != nil || r.URL.Scheme == "https" }
