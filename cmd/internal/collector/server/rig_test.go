package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

// A rig is a server with a store in memory, the app "app", and a token for it.
type rig struct {
	t      testing.TB
	store  *storetest.Memory
	c      *engine.Engine
	tokens *access.Tokens
	app    collector.App
	token  string
	logs   *syncbuffer.Buffer
	h      http.Handler
	ahead  *atomic.Int64 // of the collector's clock
}

func newRig(t testing.TB, change func(*server.Options)) *rig {
	t.Helper()
	lab.SameDay(t, 5*time.Minute)
	r := &rig{t: t, store: storetest.NewMemory(), logs: &syncbuffer.Buffer{}, ahead: new(atomic.Int64)}
	log := slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	clock := func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	var err error
	if r.c, err = engine.Open(t.Context(), r.store, engine.Options{Secret: bytes.Repeat([]byte("s"), 32), Logger: log, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.c.Close(context.Background()) })
	<-r.c.Warm()
	if r.app, err = r.c.AddApp(t.Context(), collector.App{Key: "app", MaxNewPerDay: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	r.tokens = access.New(r.c, nil)
	if r.token, err = r.tokens.Add(t.Context(), access.Machine, "reader", access.Read, "app"); err != nil {
		t.Fatal(err)
	}
	base, err := server.ParseBaseURL("http://example.com") // the name in requests of httptest
	if err != nil {
		t.Fatal(err)
	}
	opts := server.Options{BaseURL: base, Collector: r.c, Access: r.tokens, Logger: log, Version: "1.2.3", Metrics: prometheus.NewRegistry()}
	if change != nil {
		change(&opts)
	}
	s, err := server.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	r.h = s.Handler()
	return r
}

// noLimits removes all limits of reports.
func noLimits(o *server.Options) {
	o.Limits = counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}
}

// trust trusts proxies in 127.0.0.0/8 and 10.0.0.0/8.
func trust(o *server.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
}

// do sends a request with header fields such as "name: value".
func (r *rig) do(method, target, from, body string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.RemoteAddr = from
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

const here = "192.0.2.1:1234"

func (r *rig) beat(from string, n int, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do("POST", "/v1/heartbeat", from, heartbeat(n), header...)
}

// get sends a GET request with the token.
func (r *rig) get(target string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do("GET", target, here, "", append(header, "Authorization: Bearer "+r.token)...)
}

func (r *rig) wants(w *httptest.ResponseRecorder, status int, part string) {
	r.t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		r.t.Errorf("got %d %s, want %d with %q in it", w.Code, w.Body, status, part)
	}
}

// active returns how many installations are active today.
func (r *rig) active() uint64 {
	r.t.Helper()
	today := collector.DayOf(time.Now())
	s, err := r.c.Series(r.t.Context(), r.app.Num, collector.Range{From: today, To: today}, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	return *s.Points[0].Active.Day
}

func id(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n+1, n+1) }

// heartbeat returns the heartbeat of installation n. Change sets fields to raw
// JSON, or removes them if it is empty.
func heartbeat(n int, change ...string) string {
	fields := map[string]string{
		"schema": "1", "app": `"app"`, "installation_id": `"` + id(n) + `"`, "id_persistence": `"persisted"`,
		"sent_at": `"2026-05-06T07:08:09Z"`, "version": `"1.2.3"`, "platform": `{"system":"linux","machine":"amd64"}`,
	}
	for i := 0; i < len(change); i += 2 {
		fields[change[i]] = change[i+1]
	}
	var b strings.Builder
	for name, value := range fields {
		if value != "" {
			fmt.Fprintf(&b, `,%q:%s`, name, value)
		}
	}
	return "{" + b.String()[1:] + "}"
}

func health(n int, count int) string {
	return fmt.Sprintf(`{"schema":1,"app":"app","installation_id":%q,"id_persistence":"persisted","sent_at":"2026-05-06T07:08:10Z",
		"version":"1.2.3","faults":[{"source":"log","component":"storage","reason":"disk-full","stage":"save","severity":"error",
		"count":%d,"since":"2026-05-06T00:00:01Z","first":"2026-05-06T03:00:00Z","last":"2026-05-06T07:00:00Z"}]}`, id(n), count)
}

// serve starts a real server.
func (r *rig) serve(change func(*http.Server)) *httptest.Server {
	r.t.Helper()
	s := httptest.NewUnstartedServer(r.h)
	if change != nil {
		change(s.Config)
	}
	s.Start()
	r.t.Cleanup(s.Close)
	return s
}

// raw sends bytes over a connection and returns the answer up to its end.
func raw(t testing.TB, s *httptest.Server, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // a reset at the end is fine
	return string(answer)
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}
