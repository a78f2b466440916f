package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

func TestAccepted(t *testing.T) {
	r := newRig(t, nil)
	w := r.beat(here, 1)
	if w.Code != 200 || w.Body.String() != "{\"status\":\"ok\"}\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	r.wants(r.do("POST", "/v1/health", here, health(1, 3)), 200, `"ok"`)
	if got := r.active(); got != 1 {
		t.Errorf("got %d active, want 1", got)
	}
}

// S3: the same heartbeat ten times, and from ten replicas.
func TestCountedOnce(t *testing.T) {
	r := newRig(t, nil)
	for i := range 10 {
		r.wants(r.beat(here, 1), 200, "ok")
		r.wants(r.beat(fmt.Sprintf("198.51.100.%d:1", i), 1), 200, "ok")
	}
	if got := r.active(); got != 1 {
		t.Errorf("got %d active, want 1", got)
	}
}

// S5: the answer to an invalid body has its reason, the metrics count it, and
// nothing is stored.
func TestBadBodies(t *testing.T) {
	r := newRig(t, nil)
	long := func(most int) string {
		return heartbeat(1, "more", `"`+strings.Repeat("x", most-len(heartbeat(1, "more", `""`)))+`"`)
	}
	for name, test := range map[string]struct {
		body, header string
		status       int
		reason       string
	}{
		"empty":             {"", "Content-Type: application/json", 400, "not_json"},
		"not JSON":          {"hello", "", 400, "not_json"},
		"cut off":           {heartbeat(1)[:50], "", 400, "not_json"},
		"not UTF-8":         {heartbeat(1, "version", "\"\xff\""), "", 400, "bad_utf8"},
		"too deep":          {heartbeat(1, "x", strings.Repeat("[", 100)+strings.Repeat("]", 100)), "", 400, "too_deep"},
		"wrong type":        {heartbeat(1, "version", "3"), "", 400, "wrong_type"},
		"null":              {heartbeat(1, "app", "null"), "", 400, "wrong_type"},
		"missing":           {heartbeat(1, "installation_id", ""), "", 400, "missing"},
		"duplicate":         {`{"schema":1,` + heartbeat(1)[1:], "", 400, "duplicate"},
		"not a UUID":        {heartbeat(1, "installation_id", `"not-a-uuid"`), "", 400, "out_of_bounds"},
		"unknown schema":    {heartbeat(1, "schema", "0"), "", 400, "unknown_schema"},
		"one byte too long": {long(16<<10 + 1), "", 413, "too_large"},
		"much too long":     {long(1 << 20), "", 413, "too_large"},
		"compressed":        {heartbeat(1), "Content-Encoding: gzip", 415, "content_encoding"},
		"two encodings":     {heartbeat(1), "Content-Encoding: identity, br", 415, "content_encoding"},
		"form":              {heartbeat(1), "Content-Type: text/plain", 415, "content_type"},
		"another site":      {heartbeat(1), "Sec-Fetch-Site: cross-site", 403, "cross_origin"},
		"unknown app":       {heartbeat(1, "app", `"other"`), "", 404, "unknown_app"},
	} {
		t.Run(name, func(t *testing.T) {
			req := []string{}
			if test.header != "" {
				req = append(req, test.header)
			}
			body := test.body
			w := r.do("POST", "/v1/heartbeat", here, body, req...)
			if strings.HasPrefix(test.header, "Content-Type") && body != "" {
				w = r.typed(body, strings.TrimPrefix(test.header, "Content-Type: "))
			}
			r.wants(w, test.status, `"reason":"`+test.reason+`"`)
			if metrics := r.metrics(); !strings.Contains(metrics, `rollcall_collector_refused_total{reason="`+test.reason+`"}`) {
				t.Errorf("the metrics do not count %s", test.reason)
			}
		})
	}
	r.wants(r.do("POST", "/v1/heartbeat", here, long(16<<10)), 200, "ok") // an unknown field is dropped
	if got := r.active(); got != 1 {
		t.Errorf("got %d active, want only the one with a valid heartbeat", got)
	}
	r.wants(r.do("POST", "/v1/health", here, long(64<<10+1)), 413, "too_large")
	r.wants(r.do("POST", "/v1/health", here, heartbeat(1)), 400, "missing")
	r.wants(r.do("GET", "/v1/heartbeat", here, ""), 404, "not_found")
}

func (r *rig) typed(body, kind string) *recorderAlias {
	req := newRequest("POST", "/v1/heartbeat", body)
	req.RemoteAddr = here
	req.Header.Set("Content-Type", kind)
	return record(r.h, req)
}

// Connections are limited in time and size.
func TestSlowSenders(t *testing.T) {
	r := newRig(t, nil)
	s := r.serve(func(c *http.Server) { c.ReadTimeout, c.ReadHeaderTimeout = 100*time.Millisecond, 50*time.Millisecond })
	for name, text := range map[string]string{
		"header":    "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-",
		"body":      "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"schema\":",
		"chunks":    "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sch\r\n",
		"bad chunk": "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		if answer := raw(t, s, text); strings.Contains(answer, "HTTP/1.1 2") {
			t.Errorf("%s: got %q", name, answer)
		}
	}
	s = r.serve(nil) // without short limits
	bomb := "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("1000\r\n"+strings.Repeat(" ", 4096)+"\r\n", 5) // without an end
	if answer := raw(t, s, bomb); !strings.HasPrefix(answer, "HTTP/1.1 413") || !strings.Contains(answer, "Connection: close") {
		t.Errorf("a body of unknown length: got %q, want 413 and a closed connection", answer)
	}
	if got := r.active(); got != 0 {
		t.Errorf("got %d active, want none", got)
	}
}

func TestGone(t *testing.T) {
	r := newRig(t, nil)
	r.wants(r.beat(here, 1), 200, "ok")
	r.app.Gone = true
	if err := r.c.UpdateApp(t.Context(), r.app); err != nil {
		t.Fatal(err)
	}
	r.wants(r.beat(here, 1), 410, `"gone"`)
	r.wants(r.do("POST", "/v1/health", here, health(1, 1)), 410, `"gone"`)
}

// S2: a report that cannot be stored is not acknowledged, and the sender shall
// retry. The collector recovers by itself.
func TestStoreFails(t *testing.T) {
	r := newRig(t, nil)
	for _, cause := range []error{collector.ErrUnavailable, errors.New("something else")} {
		r.store.Fail(cause)
		w := r.beat(here, 1)
		r.wants(w, 503, `"reason":"store_unavailable"`)
		r.retry(w.Header(), 120, 300)
		r.store.Fail(nil)
	}
	r.wants(r.beat(here, 1), 200, "ok")
	if err := r.c.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	w := r.beat(here, 1)
	r.wants(w, 503, `"busy"`)
	r.retry(w.Header(), 30, 70)
}

func (r *rig) retry(h http.Header, least, most int) {
	r.t.Helper()
	if n, err := strconv.Atoi(h.Get("Retry-After")); err != nil || n < least || n > most {
		r.t.Errorf("got Retry-After %q, want %d to %d seconds", h.Get("Retry-After"), least, most)
	}
}

func TestNewLimitOfTheDay(t *testing.T) {
	r := newRig(t, nil)
	r.app.MaxNewPerDay = 1
	if err := r.c.UpdateApp(t.Context(), r.app); err != nil {
		t.Fatal(err)
	}
	r.wants(r.beat(here, 1), 200, "ok")
	w := r.beat(here, 2)
	r.wants(w, 429, `"new_limited"`)
	r.retry(w.Header(), 3600, 7300)
	r.wants(r.beat(here, 1), 200, "ok")
}

func TestInstallationLimit(t *testing.T) {
	r := newRig(t, func(o *server.Options) { o.Limits.PerInstallation = 5 })
	for range 6 { // the first one was unknown
		r.wants(r.beat(here, 1), 200, "ok")
	}
	w := r.beat("198.51.100.7:1", 1) // from any address
	r.wants(w, 429, `"rate_limited"`)
	r.retry(w.Header(), 1, 24*60+5)
	r.wants(r.beat(here, 2), 200, "ok")
}

// S4: forged IDs from one address do not keep known installations at this address,
// or others elsewhere, from being counted.
func TestForgedFromOneAddress(t *testing.T) {
	r := newRig(t, func(o *server.Options) { o.Limits = counter.Limits{PerPrefix: 50, NewPerPrefix: 20} })
	for n := range 20 {
		r.wants(r.beat(here, n), 200, "ok")
	}
	forged := 20_000
	if testing.Short() {
		forged = 2000
	}
	refused := 0
	for n := range forged {
		w := r.beat(here, 1000+n)
		if w.Code == 429 {
			refused++
		}
		if n%1000 == 0 {
			r.wants(r.beat(here, n/1000%20), 200, "ok")
			r.wants(r.beat("198.51.100.1:1", 500_000), 200, "ok")
		}
	}
	if got := r.active(); got > 22 || refused < forged-1 {
		t.Errorf("got %d active and %d of %d forged refused, want 20 and one from elsewhere, and nearly all", got, refused, forged)
	}
}

// One network brings few new values a day, and others bring theirs all the same.
func TestInventedFromOneAddress(t *testing.T) {
	r := newRig(t, noLimits)
	for n := range 1500 {
		r.wants(r.do("POST", "/v1/heartbeat", here, heartbeat(n, "version", fmt.Sprintf(`"9.%d"`, n))), 200, "ok")
	}
	r.wants(r.do("POST", "/v1/heartbeat", "198.51.100.1:1", heartbeat(5000, "version", `"3.0.0"`)), 200, "ok")
	versions := decode[figures.Breakdown](t, r.get("/api/v1/apps/app/breakdown?dimension=version")).Values
	if n := len(versions); n > 210 || !slices.ContainsFunc(versions, func(v figures.Value) bool { return v.Value == "3.0.0" }) {
		t.Errorf("got %d versions, want about 200 and the one from elsewhere", n)
	}
}

// Of a thousand networks that forge IDs, each gets no more than its share.
func TestForgedFromManyAddresses(t *testing.T) {
	r := newRig(t, func(o *server.Options) { o.Limits = counter.Limits{NewPerPrefix: 3} })
	r.wants(r.beat(here, 0), 200, "ok")
	per := 100
	if testing.Short() {
		per = 10
	}
	for n := range 1000 * per {
		r.beat(fmt.Sprintf("[2001:db8:0:%x::%x]:1", n%1000, n), 1+n)
	}
	if got := r.active(); got > 3100 {
		t.Errorf("got %d active, want about 3 from each of 1000 networks", got)
	}
	r.wants(r.beat(here, 0), 200, "ok")
	r.wants(r.beat("[2001:db8:0:1::5]:1", 0), 200, "ok") // known, from an exhausted network
}

// S6: a forwarding header counts only from a trusted proxy, and from the right.
func TestForwarded(t *testing.T) {
	r := newRig(t, func(o *server.Options) {
		trust(o)
		o.Limits = counter.Limits{NewPerPrefix: 2, PerPrefix: -1}
	})
	n := 0
	spent := func(from string, header ...string) bool {
		n++
		return r.beat(from, n, header...).Code == 429
	}
	// A client that has spent the share of 203.0.113.9 cannot claim another address.
	for _, header := range []string{
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 1.1.1.1, 203.0.113.9", "X-Forwarded-For: 2.2.2.2, 203.0.113.9, 10.1.2.3",
	} {
		want := n >= 2
		if got := spent("127.0.0.1:1", header); got != want {
			t.Errorf("%s: got refused %v, want %v", header, got, want)
		}
	}
	if !spent("203.0.113.9:5") {
		t.Error("the client has another share without the proxy")
	}
	if !spent("127.0.0.1:1", "X-Forwarded-For: 3.3.3.3", "X-Forwarded-For: 203.0.113.9:4711") {
		t.Error("two header lines and an address with a port are another client")
	}
	// Not from a trusted proxy: the header is ignored.
	for i := range 3 {
		if got, want := spent("198.51.100.1:1", fmt.Sprintf("X-Forwarded-For: 4.4.4.%d", i)), i == 2; got != want {
			t.Errorf("spoofed %d: got refused %v, want %v", i, got, want)
		}
	}
	// Invalid: the proxy itself counts as the client.
	for i := range 3 {
		if got, want := spent("127.0.0.7:1", "X-Forwarded-For: 5.5.5.5, invalid"), i == 2; got != want {
			t.Errorf("invalid %d: got refused %v, want %v", i, got, want)
		}
	}
}

// S8: every report acknowledged before or during a shutdown is counted.
func TestStopInFlight(t *testing.T) {
	r := newRig(t, noLimits)
	s := r.serve(nil)
	client := s.Client()
	var acknowledged sync.Map
	var count, others atomic.Int64
	var wg sync.WaitGroup
	enough := make(chan struct{})
	for worker := range 8 {
		wg.Go(func() {
			for i := range 1_000_000 {
				n := worker*1_000_000 + i
				resp, err := client.Post(s.URL+"/v1/heartbeat", "application/json", strings.NewReader(heartbeat(n)))
				if err != nil {
					return // the server has stopped
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					others.Add(1)
					return
				}
				acknowledged.Store(n, true)
				if count.Add(1) == 200 {
					close(enough)
				}
			}
		})
	}
	<-enough
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	again := *r
	opened, err := engine.Open(t.Context(), r.store, engine.Options{Secret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close(context.Background())
	<-opened.Warm()
	again.c = opened
	acknowledged.Range(func(n, _ any) bool {
		known, err := opened.Known(t.Context(), r.app.Num, id(n.(int)))
		if err != nil || !known {
			t.Errorf("installation %d was acknowledged and is unknown: %v", n, err)
		}
		return true
	})
	if got := again.active(); got < uint64(count.Load()) {
		t.Errorf("got %d active, %d were acknowledged", got, count.Load())
	}
}

// The log contains no addresses and no IDs, even of failures.
func TestLogs(t *testing.T) {
	r := newRig(t, func(o *server.Options) {
		o.Dashboard = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { panic("from " + r.RemoteAddr) })
	})
	for n := range 100 {
		from := fmt.Sprintf("203.0.113.%d:1", n)
		if n%3 == 0 {
			r.store.Fail(errors.New("disk is broken"))
		}
		r.beat(from, n)
		r.beat(from, n, "Content-Encoding: br")
		r.do("POST", "/v1/health", from, health(n, 1))
		r.do("POST", "/v1/heartbeat", from, heartbeat(n)[:60])
		r.do("GET", "/v1/installations/"+id(n), from, "")
		r.do("DELETE", "/v1/installations/"+id(n), from, "")
		r.do("GET", "/api/v1/apps/app/series", from, "")
		r.wants(r.do("GET", "/page", from, ""), 500, "internal")
		r.store.Fail(nil)
	}
	logs := r.logs.String()
	if !strings.Contains(logs, "Request failed") || !strings.Contains(logs, "Store does not write") {
		t.Error("the log does not contain the failures")
	}
	for n := range 100 {
		for _, secret := range []string{id(n), fmt.Sprintf("203.0.113.%d", n)} {
			if strings.Contains(logs, secret) {
				t.Fatalf("%s is in the log", secret)
			}
		}
	}
}
