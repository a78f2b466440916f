package operator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/page"
)

// A browser opens links and pages of a gate.
type browser struct {
	t *testing.T
	http.Handler
}

// newBrowser returns a browser for a gate whose page answers with the rights.
func newBrowser(t *testing.T, g *operator.Gate) browser {
	return browser{t, g.Pages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path, " ", g.Rights(r))
	}))}
}

func (b browser) do(method, path string, cookie *http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// press presses the button of a link. The cookie is nil if that is refused.
func (b browser) press(link string) *http.Cookie {
	b.t.Helper()
	w := b.do(http.MethodPost, link, nil)
	cookies := w.Result().Cookies()
	switch {
	case w.Code == http.StatusForbidden && len(cookies) == 0:
		return nil
	case w.Code == http.StatusSeeOther && len(cookies) == 1 && w.Header().Get("Location") == ".."+cookies[0].Path:
		return cookies[0]
	}
	b.t.Fatalf("%s: got %d %v", link, w.Code, w.Header())
	return nil
}

// isSignedIn reports whether the cookie makes the page changeable.
func (b browser) isSignedIn(c *http.Cookie) bool {
	b.t.Helper()
	w := b.do(http.MethodGet, c.Path+"some/path", c)
	switch {
	case w.Code == http.StatusOK && w.Body.String() == fmt.Sprint("/some/path ", page.MayChange):
		return true
	case w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../../":
		b.t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	return false
}

// TestLink: a link works once, for five minutes.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, operator.New(&source{token: token}))
		link := operator.NewLink(token)
		for range 3 { // fetching it in advance does not use it up
			if w := b.do(http.MethodGet, link, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `<form method="post">`) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		}
		cookie := b.press(link)
		if cookie == nil || !b.isSignedIn(cookie) {
			t.Fatal("not signed in")
		}
		if b.press(link) != nil {
			t.Error("the link works twice")
		}
		late, inTime := operator.NewLink(token), operator.NewLink(token)
		time.Sleep(5 * time.Minute)
		if b.press(inTime) == nil {
			t.Error("the link does not work after five minutes")
		}
		time.Sleep(time.Millisecond)
		if b.press(late) != nil {
			t.Error("the link works after more than five minutes")
		}
		time.Sleep(10 * time.Minute)
		if b.press(link) != nil || b.press(inTime) != nil {
			t.Error("a used link works again later")
		}
	})
}

// TestWrongLinks: only the token makes links, for this run of the server.
func TestWrongLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := operator.NewLink(token)
		time.Sleep(2 * time.Millisecond)
		b := newBrowser(t, operator.New(&source{token: token}))
		good := operator.NewLink(token)
		parts := strings.Split(strings.TrimPrefix(good, operator.SignInPath), ".")
		for name, link := range map[string]string{
			"made before the start": before,
			"of another token":      operator.NewLink(otherToken),
			"of no token":           operator.NewLink(""),
			"empty":                 operator.SignInPath,
			"no code":               operator.SignInPath + parts[0] + "." + parts[1],
			"empty code":            operator.SignInPath + parts[0] + "." + parts[1] + ".",
			"another time":          operator.SignInPath + parts[0] + "0." + parts[1] + "." + parts[2],
			"another nonce":         operator.SignInPath + parts[0] + "." + parts[1] + "A." + parts[2],
			"a longer code":         good + "A",
			"a shorter code":        good[:len(good)-1],
			"lower case":            operator.SignInPath + parts[0] + "." + parts[1] + "." + strings.ToLower(parts[2]),
			"the token":             operator.SignInPath + token,
		} {
			if b.press(link) != nil {
				t.Errorf("%s: signed in by %s", name, link)
			}
		}
		if b.press(good) == nil {
			t.Error("the good link does not work any more")
		}
		if strings.Contains(good, token) {
			t.Error("the link has the token in it")
		}
		var none *operator.Gate
		if w := (browser{t, none.Pages(http.NotFoundHandler())}).do(http.MethodPost, good, nil); w.Code != http.StatusNotFound {
			t.Errorf("without a gate: got %d", w.Code)
		}
	})
}

// TestSessions: they last for twelve hours, there are sixteen at most, and they
// end with the token.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{token: token}
		b := newBrowser(t, operator.New(s))
		signIn := func() *http.Cookie {
			t.Helper()
			c := b.press(operator.NewLink(s.token))
			if c == nil || !b.isSignedIn(c) {
				t.Fatal("not signed in")
			}
			return c
		}
		first := signIn()
		time.Sleep(12 * time.Hour)
		if !b.isSignedIn(first) {
			t.Error("signed out after twelve hours")
		}
		time.Sleep(time.Second)
		if b.isSignedIn(first) {
			t.Error("signed in after more than twelve hours")
		}

		var all []*http.Cookie
		for range 17 {
			all = append(all, signIn())
		}
		for i, c := range all {
			if got := b.isSignedIn(c); got != (i > 0) {
				t.Errorf("session %d of 17: signed in: %v", i+1, got)
			}
		}
		time.Sleep(time.Minute)
		s.set(func(s *source) { s.token = otherToken })
		if b.isSignedIn(all[16]) {
			t.Error("signed in after the token was replaced")
		}
		s.set(func(s *source) { s.token = token })
		time.Sleep(time.Minute)
		if b.isSignedIn(all[16]) {
			t.Error("signed in again")
		}
	})
}

// TestUsedLinksAreBounded: what is remembered of used links has a bound, after
// which no link works for a while.
func TestUsedLinksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, operator.New(&source{token: token}))
		for i := range 256 {
			if b.press(operator.NewLink(token)) == nil {
				t.Fatalf("link %d does not work", i+1)
			}
		}
		if b.press(operator.NewLink(token)) != nil {
			t.Error("more links than can be remembered")
		}
		time.Sleep(10*time.Minute + time.Second)
		if b.press(operator.NewLink(token)) == nil {
			t.Error("no link works any more")
		}
	})
}
