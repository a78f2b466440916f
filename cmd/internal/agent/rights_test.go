package agent_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/page"
)

const (
	knownID    = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	someConfig = `{"telemetry": {"enabled": true, "installation_id": "` + knownID + `"}}`
)

// An install is an agent's handler and service, on a config of its own.
type install struct {
	http.Handler
	service *rollcall.Service
	config  string
	token   string
}

func newInstall(t *testing.T) install {
	t.Helper()
	dir := t.TempDir()
	i := install{config: filepath.Join(dir, "config.json")}
	if err := os.WriteFile(i.config, []byte(someConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	i.service, err = rollcall.New(rollcall.Config{ConfigPath: i.config, Consent: rollcall.ConsentConfig{PolicyPath: filepath.Join(dir, "policy.json")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.service.Stop(context.Background()) })
	proof, err := i.service.CreateToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i.token = proof.Token
	gate := operator.New(i.service)
	i.Handler = newHandler(t, i.service, agent.Options{
		Gate: gate, Page: page.Handler(i.service, page.Options{AnyHost: true, Rights: gate.Rights, SignIn: "Run rollcall page."}),
	})
	return i
}

func (i install) read(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// signIn opens a link as a browser does, and returns the path of the page and
// the cookie.
func (i install) signIn(t *testing.T) (path string, cookie *http.Cookie) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, operator.NewLink(i.token), nil)
	r.Host = testListen
	r.Header.Set("Origin", "http://"+testListen)
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	location, err := r.URL.Parse(w.Header().Get("Location"))
	if w.Code != http.StatusSeeOther || err != nil || len(w.Result().Cookies()) != 1 {
		t.Fatalf("got %d, %v %s", w.Code, w.Header(), w.Body)
	}
	return location.Path, w.Result().Cookies()[0]
}

// TestRights asks for everything as everyone.
func TestRights(t *testing.T) {
	from := func(address string) func(*http.Request, install) {
		return func(r *http.Request, _ install) { r.RemoteAddr = address }
	}
	header := func(address, name, value string) func(*http.Request, install) {
		return func(r *http.Request, i install) {
			r.RemoteAddr = address
			r.Header.Set(name, strings.ReplaceAll(value, "TOKEN", i.token))
		}
	}
	const local, remote = "127.0.0.1:50000", "192.0.2.1:50000"
	callers := []struct {
		name   string
		change func(*http.Request, install)
		has    page.Rights
	}{
		{"program on this machine", from(local), page.MayDeny},
		{"program on this machine, IPv6", from("[::1]:50000"), page.MayDeny},
		{"another machine", from(remote), page.ReadOnly},
		{"a proxy on this machine", header(local, "X-Forwarded-For", "127.0.0.1"), page.ReadOnly},
		{"another proxy on this machine", header(local, "Forwarded", "for=127.0.0.1"), page.ReadOnly},
		{"token", header(local, "Authorization", "Bearer TOKEN"), page.MayChange},
		{"token from another machine", header(remote, "Authorization", "bearer TOKEN"), page.MayChange},
		{"wrong token", header(local, "Authorization", "Bearer "+strings.Repeat("A", 26)), page.MayDeny},
		{"wrong token from another machine", header(remote, "Authorization", "Bearer x"), page.ReadOnly},
		{"empty token", header(remote, "Authorization", "Bearer "), page.ReadOnly},
		{"token as a password", header(remote, "Authorization", "Basic TOKEN"), page.ReadOnly},
		{"a header and no scheme", header(remote, "Authorization", "TOKEN"), page.ReadOnly},
		{"cookie of nobody", header(remote, "Cookie", "rollcall_operator=TOKEN"), page.ReadOnly},
	}
	const consent = agent.PathConsent
	asJSON, asForm := "application/json", "application/x-www-form-urlencoded"
	requests := []struct {
		method, path, kind, body string
		needs                    page.Rights
	}{
		{http.MethodGet, "/healthz", "", "", page.ReadOnly},
		{http.MethodGet, "/readyz", "", "", page.ReadOnly},
		{http.MethodGet, agent.PathInstallation, "", "", page.ReadOnly},
		{http.MethodGet, agent.PathStatus, "", "", page.ReadOnly},
		{http.MethodGet, consent, "", "", page.ReadOnly},
		{http.MethodGet, "/", "", "", page.ReadOnly},
		{http.MethodGet, "/style.css", "", "", page.ReadOnly},
		{http.MethodPost, consent, asJSON, `{"telemetry": false}`, page.MayDeny},
		{http.MethodPost, consent, asJSON, `{"health": false}`, page.MayDeny},
		{http.MethodPost, consent, asJSON, `{"telemetry": false, "health": false}`, page.MayDeny},
		{http.MethodPost, consent, asJSON, `{"telemetry": true}`, page.MayChange},
		{http.MethodPost, consent, asJSON, `{"health": true}`, page.MayChange},
		{http.MethodPost, consent, asJSON, `{"telemetry": false, "health": true}`, page.MayChange},
		{http.MethodPost, consent, asJSON, `{"telemetry": true, "health": false}`, page.MayChange},
		{http.MethodPost, consent, asJSON, `{"telemetry": false, "Telemetry": true}`, page.MayChange},
		{http.MethodGet, "/v1/openapi.json", "", "", page.ReadOnly},
		{http.MethodPut, agent.PathFacts, asJSON, `{}`, page.MayChange},
		{http.MethodPut, agent.PathHost, asJSON, `{"version": "1.2.3"}`, page.MayChange},
		{http.MethodPost, agent.PathFaults, asJSON, `{"source": "log", "component": "storage", "reason": "disk-full"}`, page.MayChange},
		{http.MethodGet, agent.PathPreview, "", "", page.MayChange},
		{http.MethodPost, agent.PathSend, "", "", page.MayChange},
		{http.MethodPost, "/consent", asForm, "decision=deny", page.MayDeny},
		{http.MethodPost, "/health-consent", asForm, "decision=deny", page.MayDeny},
		{http.MethodPost, "/consent", asForm, "decision=grant", page.MayChange},
		{http.MethodPost, "/health-consent", asForm, "decision=grant", page.MayChange},
		{http.MethodPost, "/send", asForm, "", page.MayChange},
		{http.MethodGet, "/reset", "", "", page.MayChange},
		{http.MethodPost, "/reset", asForm, "id=0b9d6f1e...", page.MayChange},
		{http.MethodGet, "/forget", "", "", page.MayChange},
		{http.MethodPost, "/forget", asForm, "id=0b9d6f1e...", page.MayChange},
	}
	for _, caller := range callers {
		t.Run(caller.name, func(t *testing.T) {
			i := newInstall(t)
			for _, request := range requests {
				before := i.read(t)
				r := httptest.NewRequest(request.method, request.path, strings.NewReader(request.body))
				r.Host = testListen
				if request.kind != "" {
					r.Header.Set("Content-Type", request.kind)
				}
				caller.change(r, i)
				w := httptest.NewRecorder()
				i.ServeHTTP(w, r)
				what := request.method + " " + request.path + " " + request.body
				refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden
				if want := caller.has < request.needs; refused != want || !refused && w.Code >= 400 && w.Code != http.StatusConflict { // nothing is sent without an endpoint
					t.Errorf("%s: got %d %s, want refused %v", what, w.Code, w.Body, want)
				}
				if !refused {
					continue
				}
				if after := i.read(t); after != before {
					t.Errorf("%s: refused, but the config changed from %s to %s", what, before, after)
				}
				if strings.HasPrefix(request.path, "/v1/") {
					text, _ := decode(t, w)["error"].(string)
					for _, want := range []string{"only the operator", "Authorization: Bearer TOKEN", ".config.json.rollcall-token", "--listen unix:PATH"} {
						if !strings.Contains(text, want) {
							t.Errorf("%s: got %q, want %q in it", what, text, want)
						}
					}
					if strings.Contains(text, i.token) {
						t.Errorf("%s: the answer has the token", what)
					}
				} else if text := w.Body.String(); !strings.Contains(text, "Only the operator may change this. Run rollcall page.") {
					t.Errorf("%s: got %s", what, text)
				}
			}
		})
	}
}

// TestBrowser: a browser that a link signed in may change everything, and only
// with its cookie, at the path that belongs to it.
func TestBrowser(t *testing.T) {
	i := newInstall(t)
	path, cookie := i.signIn(t)
	if cookie.Path != path || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || len(cookie.Value) < 26 {
		t.Errorf("got cookie %v for %s", cookie, path)
	}
	ask := func(method, path string, form url.Values, c *http.Cookie, change ...func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Host, r.RemoteAddr = testListen, "192.0.2.1:50000"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c != nil {
			r.AddCookie(c)
		}
		for _, f := range change {
			f(r)
		}
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		return w
	}
	grant := url.Values{"decision": {"grant"}}
	if w := ask(http.MethodGet, path, nil, cookie); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Turn off telemetry") {
		t.Errorf("the page: got %d %s", w.Code, w.Body)
	}
	if w := ask(http.MethodGet, path+"reset", nil, cookie); w.Code != http.StatusOK {
		t.Errorf("the question: got %d %s", w.Code, w.Body)
	}
	if w := ask(http.MethodPost, path+"health-consent", grant, cookie); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./?outcome=health-granted" {
		t.Errorf("a grant: got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if got := i.read(t); !strings.Contains(got, `"health_enabled": true`) {
		t.Errorf("got config %s", got)
	}

	before := i.read(t)
	forged := *cookie
	forged.Value = strings.Repeat("A", 26)
	other, otherCookie := i.signIn(t)
	elsewhere := []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		func(r *http.Request) { r.Header.Set("Origin", "null") },
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no cookie":         ask(http.MethodPost, path+"consent", grant, nil),
		"wrong cookie":      ask(http.MethodPost, path+"consent", grant, &forged),
		"another's cookie":  ask(http.MethodPost, path+"consent", grant, otherCookie),
		"another path":      ask(http.MethodPost, other+"consent", grant, cookie),
		"an unknown path":   ask(http.MethodPost, "/operator/AAAA/consent", grant, cookie),
		"the open page":     ask(http.MethodPost, "/consent", grant, cookie),
		"another site":      ask(http.MethodPost, path+"consent", grant, cookie, elsewhere[0]),
		"another origin":    ask(http.MethodPost, path+"consent", grant, cookie, elsewhere[1]),
		"no origin":         ask(http.MethodPost, path+"consent", grant, cookie, elsewhere[2]),
		"another host name": ask(http.MethodPost, path+"consent", grant, cookie, func(r *http.Request) { r.Host = "evil.example" }),
		"the API":           ask(http.MethodPost, agent.PathConsent, nil, cookie, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }),
	} {
		if w.Code < 400 && w.Header().Get("Location") != "../../" {
			t.Errorf("%s: got %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	if got := i.read(t); got != before {
		t.Errorf("the config changed to %s", got)
	}
}

// TestLinkOfAnotherSite: opening a link only asks, from wherever; pressing the
// button works only on the page itself.
func TestLinkOfAnotherSite(t *testing.T) {
	i := newInstall(t)
	link := operator.NewLink(i.token)
	ask := func(method string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, link, nil)
		r.Host = testListen
		change(r)
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		return w
	}
	foreign := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
	}
	for range 2 {
		w := ask(http.MethodGet, foreign)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<button>Sign in") || len(w.Result().Cookies()) != 0 {
			t.Errorf("opened from another site: got %d %v %s", w.Code, w.Header(), w.Body)
		}
		for name, want := range map[string]string{"Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("got %s %q, want %q", name, got, want)
			}
		}
	}
	for name, change := range map[string]func(*http.Request){
		"another site":      foreign,
		"another origin":    func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"no origin":         func(r *http.Request) { r.Header.Set("Origin", "null") },
		"another host name": func(r *http.Request) { r.Host = "evil.example" },
	} {
		if w := ask(http.MethodPost, change); w.Code < 400 || len(w.Result().Cookies()) != 0 {
			t.Errorf("posted by %s: got %d %v", name, w.Code, w.Header())
		}
	}
	if w := ask(http.MethodDelete, func(*http.Request) {}); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: got %d", w.Code)
	}
	// None of this has used the link up.
	if w := ask(http.MethodPost, func(r *http.Request) { r.Header.Set("Origin", "http://"+testListen) }); w.Code != http.StatusSeeOther {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := ask(http.MethodPost, func(*http.Request) {}); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "used before") {
		t.Errorf("used again: got %d %s", w.Code, w.Body)
	}
}

// TestWithoutGate: an agent that cannot recognize the operator lets nobody
// change anything.
func TestWithoutGate(t *testing.T) {
	i := newInstall(t)
	h := newHandler(t, i.service, agent.Options{Page: http.NotFoundHandler()})
	for body, want := range map[string]int{`{"telemetry": true}`: 401, `{"telemetry": false}`: 200} {
		w := get(h, agent.PathConsent, func(r *http.Request) {
			r.Method, r.RemoteAddr, r.Body = http.MethodPost, "127.0.0.1:1", io.NopCloser(strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+i.token)
		})
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
}

// TestSocketAndPort runs an agent on both, with an owner who connects.
func TestSocketAndPort(t *testing.T) {
	i := newInstall(t)
	dir, err := os.MkdirTemp("", "agent") // that of the test can be too long
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	address, _, stop := run(t, unstarted{i.service}, agent.Options{Listen: []string{"127.0.0.1:0", "unix:" + socket}, Version: "v1.2.3", Gate: operator.New(i.service)})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
	over := func(network, to string) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, to)
		}}}
	}
	post := func(c *http.Client, body string) int {
		t.Helper()
		response, err := c.Post("http://localhost"+agent.PathConsent, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if got := post(over("tcp", address), `{"telemetry": true}`); got != 401 {
		t.Errorf("over TCP: got %d, want 401", got)
	}
	if got := post(over("unix", socket), `{"telemetry": true}`); got != 200 {
		t.Errorf("over the socket: got %d, want 200", got)
	}
	if reply, err := agent.Ask(t.Context(), "unix:"+socket); err != nil || reply.ID.String() != knownID {
		t.Errorf("got %+v, %v", reply, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left")
	}
}

// unstarted is a service that was started before.
type unstarted struct{ *rollcall.Service }

func (unstarted) Start(context.Context) error { return nil }
