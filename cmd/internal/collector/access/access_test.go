package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
)

// settings are in memory, and can fail.
type settings struct {
	mu   sync.Mutex
	data map[string][]byte
	fail error
}

func newSettings() *settings { return &settings{data: map[string][]byte{}} }

func (s *settings) Setting(_ context.Context, _ collector.AppNum, name string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.data[name]
	return bytes.Clone(data), ok, s.fail
}

func (s *settings) PutSetting(_ context.Context, _ collector.AppNum, name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.data[name] = bytes.Clone(data)
	}
	return s.fail
}

func (s *settings) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *settings) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s", s.data)
}

func add(t *testing.T, k *access.Tokens, name string, scope access.Scope, app string) string {
	t.Helper()
	token, err := k.Add(t.Context(), access.Machine, name, scope, app)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func request(from string) *http.Request {
	r := httptest.NewRequest("POST", "/sign-in", nil)
	r.RemoteAddr = from
	return r
}

// signIn returns a request of a browser that has signed in.
func signIn(t *testing.T, k *access.Tokens, token string) *http.Request {
	t.Helper()
	w := httptest.NewRecorder()
	if err := k.SignIn(w, request("192.0.2.1:1"), token); err != nil {
		t.Fatal(err)
	}
	r := request("192.0.2.1:1")
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	return r
}

func TestMay(t *testing.T) {
	for _, test := range []struct {
		grant access.Grant
		app   string
		need  access.Scope
		want  bool
	}{
		{access.Grant{}, "", access.Read, false},
		{access.Grant{}, "a", access.Read, false},
		{access.Grant{Scope: access.Read, App: "a"}, "a", access.Read, true},
		{access.Grant{Scope: access.Read, App: "a"}, "a", access.Admin, false},
		{access.Grant{Scope: access.Read, App: "a"}, "b", access.Read, false},
		{access.Grant{Scope: access.Read, App: "a"}, "a", access.Release, false},
		{access.Grant{Scope: access.Release, App: "a"}, "a", access.Release, true},
		{access.Grant{Scope: access.Release, App: "a"}, "b", access.Release, false},
		{access.Grant{Scope: access.Release, App: "a"}, "a", access.Read, false},
		{access.Grant{Scope: access.Release, App: "a"}, "a", access.Admin, false},
		{access.Grant{Scope: access.Admin, App: "a"}, "a", access.Release, true},
		{access.Grant{App: "a"}, "a", access.Read, false},
		{access.Grant{Scope: access.Admin, App: "a"}, "", access.Read, false},
		{access.Grant{Scope: access.Admin, App: "a"}, "a", access.Admin, true},
		{access.Grant{Scope: access.Admin, App: "a"}, "a", access.Read, true},
		{access.Grant{Scope: access.Read}, "", access.Read, true},
		{access.Grant{Scope: access.Read}, "a", access.Read, true},
		{access.Grant{Scope: access.Read}, "", access.Admin, false},
		{access.Grant{Scope: access.Admin}, "", access.Admin, true},
	} {
		if got := test.grant.May(test.app, test.need); got != test.want {
			t.Errorf("%+v for %q and %s: got %v, want %v", test.grant, test.app, test.need, got, test.want)
		}
	}
}

func TestTokens(t *testing.T) {
	s := newSettings()
	k := access.New(s, nil)
	token := add(t, k, "reader", access.Read, "app")
	admin := add(t, k, "boss", access.Admin, "")
	if !strings.HasPrefix(token, "rct_") || len(token) != 36 || token == admin {
		t.Errorf("got %q and %q, want two tokens of the form rct_ and 32 characters", token, admin)
	}
	if strings.Contains(s.all(), token[4:]) {
		t.Error("the token itself is stored")
	}
	for _, tokens := range []*access.Tokens{k, access.New(s, nil)} { // before and after a restart
		if got, ok := tokens.Check(token); !ok || got.Name != "reader" || got.Scope != access.Read || got.App != "app" {
			t.Errorf("got %+v, %v", got, ok)
		}
		for _, wrong := range []string{"", "rct_", token[4:], token + "x", token[:35], strings.ToUpper(token)} {
			if _, ok := tokens.Check(wrong); ok {
				t.Errorf("%q is accepted as a token", wrong)
			}
		}
	}
	list, err := k.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "reader" || list[1].Scope != access.Admin {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, "reader"); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Check(token); ok {
		t.Error("a revoked token is accepted")
	}
	if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, "reader"); !errors.Is(err, access.ErrNoToken) {
		t.Errorf("got %v, want ErrNoToken", err)
	}
}

// Whoever loses a token loses what was created with it.
func TestRevokeTree(t *testing.T) {
	s := newSettings()
	k := access.New(s, nil)
	by := func(by, name string) (token string) {
		grant := access.Machine
		if by != "" {
			grant, _ = k.Check(by)
		}
		token, err := k.Add(t.Context(), grant, name, access.Admin, "app")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	root := by("", "root")
	child := by(root, "child")
	grandchild, other := by(child, "grandchild"), by("", "other")
	signIn(t, k, grandchild)
	stale, _ := k.Check(child)
	if err := access.New(s, nil).Revoke(t.Context(), access.Machine, "app", "root"); err != nil { // after a restart
		t.Fatal(err)
	}
	k = access.New(s, nil)
	for _, token := range []string{root, child, grandchild} {
		if grant, ok := k.Check(token); ok {
			t.Errorf("%s lives on", grant.Name)
		}
	}
	if _, ok := k.Check(other); !ok {
		t.Error("another token was revoked")
	}
	if strings.Contains(s.all(), "ends") {
		t.Errorf("a session is left: %s", s.all())
	}
	if _, err := k.Add(t.Context(), stale, "late", access.Read, "app"); !errors.Is(err, access.ErrNoToken) {
		t.Errorf("on behalf of a revoked token: got %v", err)
	}
}

// No app's admin can use up the tokens of another app, or learn their names.
func TestTokensOfApps(t *testing.T) {
	k := access.New(newSettings(), nil)
	for i := range access.MaxTokens {
		add(t, k, fmt.Sprint("n", i), access.Read, "greedy")
	}
	if _, err := k.Add(t.Context(), access.Machine, "more", access.Read, "greedy"); !errors.Is(err, access.ErrTooMany) {
		t.Errorf("got %v, want ErrTooMany", err)
	}
	for _, app := range []string{"", "app"} {
		add(t, k, "n1", access.Read, app)
	}
	if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, "n1"); !errors.Is(err, access.ErrAmbiguous) {
		t.Errorf("of any app: got %v, want ErrAmbiguous", err)
	}
	if err := k.Revoke(t.Context(), access.Machine, "app", "n1"); err != nil {
		t.Error(err)
	}
	list, err := k.List(t.Context())
	if err != nil || len(list) != access.MaxTokens+1 {
		t.Errorf("got %d tokens, %v", len(list), err)
	}
}

// The audit log has what happens, and no secret.
func TestAudit(t *testing.T) {
	s := newSettings()
	log := audit.New(s, nil)
	k := access.New(s, log)
	token := add(t, k, "reader", access.Read, "app")
	browser := signIn(t, k, token)
	k.Check("rct_wrong")
	k.SignIn(httptest.NewRecorder(), request("192.0.2.7:1"), "wrong")
	if err := k.SignOut(httptest.NewRecorder(), browser); err != nil {
		t.Fatal(err)
	}
	if err := k.Revoke(t.Context(), access.Machine, "app", "reader"); err != nil {
		t.Fatal(err)
	}
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := log.Entries(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprint(e.Action, " ", e.Actor, " ", e.App, " ", e.Detail, " ", e.Count))
	}
	slices.Sort(got)
	want := []string{
		"signed_in reader app  0", "signed_out reader app  0", "token_added command line app read token reader 0",
		"token_refused nobody   0", "token_refused nobody   1", "token_revoked command line app token reader 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if text, _ := json.Marshal(list); strings.Contains(string(text), "192.0.2") || strings.Contains(string(text), "rct_") {
		t.Errorf("got %s", text)
	}
}

func TestAddRefuses(t *testing.T) {
	k := access.New(newSettings(), nil)
	for _, test := range []struct {
		name  string
		scope access.Scope
		app   string
	}{
		{"", access.Read, ""}, {strings.Repeat("n", access.MaxNameLen+1), access.Read, ""}, {"a\nb", access.Read, ""},
		{"a", "write", ""}, {"a", "", ""}, {"a", access.Read, "Not An App"},
	} {
		if _, err := k.Add(t.Context(), access.Machine, test.name, test.scope, test.app); err == nil {
			t.Errorf("%q, %q, %q is accepted", test.name, test.scope, test.app)
		}
	}
	for i := range access.MaxTokens {
		add(t, k, fmt.Sprint("n", i), access.Read, "")
	}
	if _, err := k.Add(t.Context(), access.Machine, "n1", access.Read, ""); !errors.Is(err, access.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, err := k.Add(t.Context(), access.Machine, "more", access.Read, ""); !errors.Is(err, access.ErrTooMany) {
		t.Errorf("got %v, want ErrTooMany", err)
	}
}

func TestBearer(t *testing.T) {
	k := access.New(newSettings(), nil)
	token := add(t, k, "reader", access.Read, "")
	session := signIn(t, k, token)
	for header, want := range map[string]bool{
		"Bearer " + token: true, "bearer  " + token: true, "Basic " + token: false, token: false, "Bearer": false, "Bearer x": false,
	} {
		r := session.Clone(t.Context())
		r.Header.Set("Authorization", header)
		if _, ok := k.Grant(r); ok != want {
			t.Errorf("%q: got %v, want %v: a session does not replace a wrong token", header, ok, want)
		}
	}
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettings()
		k := access.New(s, nil)
		r := signIn(t, k, add(t, k, "reader", access.Read, "app"))
		if cookie := r.Cookies()[0]; strings.Contains(s.all(), cookie.Value) {
			t.Error("the session's secret itself is stored")
		}
		k = access.New(s, nil) // a restart
		if got, ok := k.Grant(r); !ok || got.Name != "reader" || got.App != "app" {
			t.Errorf("after a restart: got %+v, %v", got, ok)
		}
		time.Sleep(access.SessionTime - time.Second)
		if _, ok := k.Grant(r); !ok {
			t.Error("the session ended before its time")
		}
		time.Sleep(time.Second)
		if _, ok := k.Grant(r); ok {
			t.Error("the session has not ended in time")
		}
	})
}

func TestSessionEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettings()
		k, other := access.New(s, nil), access.New(s, nil)
		r := signIn(t, k, add(t, k, "reader", access.Read, ""))
		if _, ok := other.Grant(r); !ok {
			t.Fatal("another process does not know the session")
		}
		if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, "reader"); err != nil {
			t.Fatal(err)
		}
		add(t, k, "reader", access.Admin, "") // with the same name
		if _, ok := k.Grant(r); ok {
			t.Error("the session outlives its token")
		}
		time.Sleep(access.RefreshAfter)
		if _, ok := other.Grant(r); ok {
			t.Error("another process still accepts the session after RefreshAfter")
		}
	})
}

func TestSignOut(t *testing.T) {
	s := newSettings()
	k := access.New(s, nil)
	token := add(t, k, "reader", access.Read, "")
	r, other := signIn(t, k, token), signIn(t, k, token)
	w := httptest.NewRecorder()
	if err := k.SignOut(w, r); err != nil {
		t.Fatal(err)
	}
	if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("got %v, want a cookie that ends", c)
	}
	if _, ok := k.Grant(r); ok {
		t.Error("a copy of the cookie still works")
	}
	if _, ok := access.New(s, nil).Grant(r); ok {
		t.Error("a copy of the cookie works again after a restart")
	}
	if _, ok := k.Grant(other); !ok {
		t.Error("the other session ended too")
	}
}

func TestCookie(t *testing.T) {
	k := access.New(newSettings(), nil)
	token := add(t, k, "reader", access.Read, "")
	proxied := request("192.0.2.1:1")
	proxied.URL.Scheme = "https"
	direct := request("192.0.2.1:1")
	direct.TLS = &tls.ConnectionState{}
	for name, test := range map[string]struct {
		r      *http.Request
		secure bool
	}{"plain": {request("192.0.2.1:1"), false}, "TLS": {direct, true}, "TLS at a proxy": {proxied, true}} {
		w := httptest.NewRecorder()
		if err := k.SignIn(w, test.r, token); err != nil {
			t.Fatal(err)
		}
		c := w.Result().Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != test.secure ||
			strings.HasPrefix(c.Name, "__Host-") != test.secure || c.MaxAge != 30*24*60*60 {
			t.Errorf("%s: got %s", name, c)
		}
		if test.secure { // another host may have set a cookie without TLS
			test.r.AddCookie(&http.Cookie{Name: "rollcall_session", Value: c.Value})
			if _, ok := k.Grant(test.r); ok {
				t.Errorf("%s: a cookie that was set without TLS is accepted", name)
			}
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	k := access.New(newSettings(), nil)
	token := add(t, k, "reader", access.Read, "")
	var browsers []*http.Request
	for range access.MaxSessions + 1 {
		browsers = append(browsers, signIn(t, k, token))
	}
	for i, r := range browsers {
		if _, ok := k.Grant(r); ok != (i > 0) {
			t.Errorf("session %d of %d: got %v, want only the oldest to have ended", i, len(browsers), ok)
		}
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := access.New(newSettings(), nil)
		token := add(t, k, "reader", access.Read, "")
		try := func(from, token string) error { return k.SignIn(httptest.NewRecorder(), request(from), token) }
		for i := range access.MaxWrong {
			from := fmt.Sprintf("[2001:db8::%x]:1", i) // one /64
			if err := try(from, "rct_wrong"); !errors.Is(err, access.ErrWrongToken) {
				t.Fatalf("attempt %d: got %v, want ErrWrongToken", i+1, err)
			}
		}
		wait, ok := errors.AsType[*access.WaitError](try("[2001:db8::ffff]:1", "rct_wrong"))
		if !ok || wait.Wait != access.WrongEvery {
			t.Errorf("got %v, want to wait %v", wait, access.WrongEvery)
		}
		if err := try("[2001:db8::ffff]:1", token); err != nil {
			t.Errorf("the right token after wrong ones: got %v", err)
		}
		if err := try("192.0.2.1:1", token); err != nil {
			t.Errorf("another network: got %v", err)
		}
		time.Sleep(access.WrongEvery)
		if err := try("[2001:db8::1]:1", "rct_wrong"); !errors.Is(err, access.ErrWrongToken) {
			t.Errorf("after the wait: got %v", err)
		}
	})
}

// The cached state remains in use while the settings cannot be read. Without a
// cached state nothing is granted.
func TestSettingsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := newSettings(), errors.New("broken")
		k := access.New(s, nil)
		token := add(t, k, "reader", access.Read, "")
		r := signIn(t, k, token)
		s.failWith(broken)
		time.Sleep(access.RefreshAfter)
		if _, ok := k.Grant(r); !ok {
			t.Error("the session ended with the settings")
		}
		fresh := access.New(s, nil)
		if _, ok := fresh.Check(token); ok {
			t.Error("a token is accepted although the settings cannot be read")
		}
		if err := k.SignIn(httptest.NewRecorder(), request("192.0.2.1:1"), token); !errors.Is(err, broken) {
			t.Errorf("sign in: got %v", err)
		}
		if _, err := k.Add(t.Context(), access.Machine, "more", access.Read, ""); !errors.Is(err, broken) {
			t.Errorf("add: got %v", err)
		}
		if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, "reader"); !errors.Is(err, broken) {
			t.Errorf("revoke: got %v", err)
		}
		s.failWith(nil)
		if _, ok := fresh.Check(token); !ok {
			t.Error("the token is unknown after the settings can be read again")
		}
	})
}

func TestConcurrent(t *testing.T) {
	k := access.New(newSettings(), nil)
	token := add(t, k, "reader", access.Read, "")
	r := signIn(t, k, token)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				if _, ok := k.Grant(r); !ok {
					t.Error("the session is unknown")
				}
				if i == 0 && j%10 == 0 {
					name := fmt.Sprint("t", j)
					if _, err := k.Add(t.Context(), access.Machine, name, access.Read, ""); err != nil {
						t.Error(err)
					}
					if err := k.Revoke(t.Context(), access.Machine, access.AnyApp, name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
