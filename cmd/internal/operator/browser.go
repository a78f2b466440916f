package operator

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/guard"
)

const (
	// LinkTime is how long a link works.
	LinkTime = 5 * time.Minute
	// SessionTime is how long a browser stays signed in.
	SessionTime = 12 * time.Hour
	// MaxSessions is how many browsers can be signed in. A further one signs the
	// oldest out.
	MaxSessions = 16
	// maxUsed bounds the links to remember because they were used. Only holders
	// of the token can make more.
	maxUsed = 256

	// SignInPath is where the paths of links begin.
	SignInPath = "/sign-in/"

	operatorPath = "/operator/"
	cookieName   = "rollcall_operator"
)

// NewLink returns the path of a link that signs one browser in, once, within
// [LinkTime], and only as long as the server runs that runs now. Whoever has
// the token can make one without asking the server, so the token never leaves
// its file.
func NewLink(token string) (path string) {
	text := strconv.FormatInt(time.Now().UnixMilli(), 36) + "." + rand.Text()
	return SignInPath + text + "." + sign(token, text)
}

// sign returns a code over the text of a link.
func sign(token, text string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("rollcall sign-in link " + text))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil))
}

// browsers are the links that were used, and the browsers that are signed in.
type browsers struct {
	mu       sync.Mutex
	used     map[string]time.Time // until when to remember it
	sessions []session            // the oldest first
}

// A session is a browser that is signed in. The cookie has a path that holds
// the handle: browsers send cookies to every port of a host, and so to the
// servers of other users, but those do not know the path.
type session struct {
	handle, secret string
	token          string // that signed it in
	until          time.Time
}

// redeem signs in with the code of a link.
func (g *Gate) redeem(code string) (session, bool) {
	at := strings.LastIndexByte(code, '.')
	if at < 0 {
		return session{}, false
	}
	text, mac := code[:at], code[at+1:]
	token, ok := g.match(func(token string) bool {
		return subtle.ConstantTimeCompare([]byte(sign(token, text)), []byte(mac)) == 1
	})
	if !ok || !g.isCurrent(text) {
		return session{}, false
	}
	return g.browsers.signIn(text, token)
}

// isCurrent reports whether a link was made a short time ago, after this server
// started. The times are compared as ages, so that it does not matter whether
// the clock was set since the start.
func (g *Gate) isCurrent(text string) bool {
	stamp, _, _ := strings.Cut(text, ".")
	ms, err := strconv.ParseInt(stamp, 36, 64)
	if err != nil {
		return false
	}
	age := time.Now().Round(0).Sub(time.UnixMilli(ms)) // by the wall clock
	return age.Abs() <= LinkTime && age <= time.Since(g.began)+time.Millisecond
}

func (b *browsers) signIn(link, token string) (session, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for old, until := range b.used {
		if now.After(until) {
			delete(b.used, old)
		}
	}
	if _, isUsed := b.used[link]; isUsed || len(b.used) >= maxUsed {
		return session{}, false
	}
	if b.used == nil {
		b.used = make(map[string]time.Time)
	}
	b.used[link] = now.Add(2 * LinkTime) // its time may be that much ahead
	s := session{handle: rand.Text(), secret: rand.Text(), token: token, until: now.Add(SessionTime)}
	b.sessions = append(b.sessions, s)
	if extra := len(b.sessions) - MaxSessions; extra > 0 {
		b.sessions = slices.Delete(b.sessions, 0, extra)
	}
	return s, true
}

// session reports whether the request has the cookie of the session, whose
// token still is the token.
func (g *Gate) session(r *http.Request, handle string) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	token := g.operator(maxAge).Token
	b := &g.browsers
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sessions = slices.DeleteFunc(b.sessions, func(s session) bool { return now.After(s.until) || s.token != token })
	for _, s := range b.sessions {
		if s.handle == handle {
			return subtle.ConstantTimeCompare([]byte(s.secret), []byte(cookie.Value)) == 1
		}
	}
	return false
}

type signedInKey struct{}

func isSignedIn(r *http.Request) bool { return r.Context().Value(signedInKey{}) != nil }

// Pages serves the links and the page of browsers that are signed in, and
// passes every other request on.
func (g *Gate) Pages(page http.Handler) http.Handler {
	if g == nil {
		return page
	}
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, ok := strings.CutPrefix(r.URL.Path, SignInPath); ok {
			foreign := guard.CrossSite(r) || crossOrigin.Check(r) != nil
			g.serveLink(w, r, code, foreign)
			return
		}
		below, ok := strings.CutPrefix(r.URL.Path, operatorPath)
		if !ok {
			page.ServeHTTP(w, r)
			return
		}
		handle, path, _ := strings.Cut(below, "/")
		if !g.session(r, handle) {
			redirect(w, "../../") // where the page says how to sign in
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), signedInKey{}, true))
		own := *r.URL
		own.Path, own.RawPath = "/"+path, ""
		r.URL = &own
		page.ServeHTTP(w, r)
	})
}

// serveLink answers requests for a link. Opening it only asks, so that a
// browser that fetches it in advance does not use it up, and so that it works
// from a terminal in another web page. The button, which other sites cannot
// press, signs in.
func (g *Gate) serveLink(w http.ResponseWriter, r *http.Request, code string, foreign bool) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin") // package page says why not no-referrer
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		writePage(w, http.StatusOK, "Sign in", `<p>Then this browser can turn telemetry on, send, and make another installation ID, for twelve hours at most. The link works once.</p>
<form method="post"><p class="actions"><button>Sign in as the operator</button></p></form>`)
	case r.Method != http.MethodPost:
		header.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
	case foreign:
		http.Error(w, "Requests from other web sites are refused.", http.StatusForbidden)
	default:
		s, ok := g.redeem(code)
		if !ok {
			writePage(w, http.StatusForbidden, "This link does not work", `<p>It was used before, is older than five minutes, or was made before the agent started.
Run <code>rollcall page</code> again.</p>
<p class="actions"><a class="button" href="../">Open the page without signing in</a></p>`)
			return
		}
		path := operatorPath + s.handle + "/"
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.secret, Path: path, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		redirect(w, ".."+path)
	}
}

func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// writePage writes a small page with a trusted body.
func writePage(w http.ResponseWriter, code int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>` + title + ` – Telemetry</title>
<link rel="icon" href="../icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="../style.css">
</head>
<body>
<header><h1>` + title + `</h1></header>
<main><section class="narrow" aria-label="` + title + `">
` + body + `
</section></main>
</body>
</html>
`))
}
