package simulate_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
	"github.com/rollcall-dev/rollcall/report"
)

// All days but the last are loaded, and the last is sent over HTTP: every
// figure is the truth.
func TestSendIsTheTruth(t *testing.T) {
	t.Parallel()
	c, app := groundtruth.NewCollector(t, collector.App{Key: "demo"})
	s, err := server.New(server.Options{Collector: c, Access: access.New(c, nil),
		Limits: counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	today, _, err := c.Today(app)
	if err != nil {
		t.Fatal(err)
	}
	f, err := simulate.New(simulate.Config{Seed: 5, Installations: 400, Days: 40, Last: today, Shares: &rare, Forged: 30})
	if err != nil {
		t.Fatal(err)
	}
	groundtruth.Load(t, c, app, func(l *engine.Loader) error { return f.Load(t.Context(), l, f.Last()-1, nil) })
	var calls atomic.Int64
	result, err := f.Send(t.Context(), simulate.Sending{Endpoint: web.URL, Connections: 4, Progress: func() { calls.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	if want := f.LastReports(); int(result.Accepted) != want || len(result.Refused) != 0 || int(calls.Load()) != want {
		t.Errorf("got %d accepted, %v refused, %d calls of Progress, want all %d", result.Accepted, result.Refused, calls.Load(), want)
	}
	if collector.DayOf(time.Now()) != today {
		t.Skip("midnight passed during the test, so its reports are of two days")
	}
	groundtruth.Compare(t, c, app, f)
}

// Every kind of answer is handled as documented.
func TestSendTriesAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]int)
	var early atomic.Int64
	var last sync.Map
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h, _, err := report.ParseHeartbeat(body)
		if err != nil {
			w.WriteHeader(400)
			return
		}
		mu.Lock()
		seen[h.InstallationID]++
		n := seen[h.InstallationID]
		mu.Unlock()
		if at, ok := last.Load(h.InstallationID); ok && time.Since(at.(time.Time)) < time.Second {
			early.Add(1)
		}
		last.Store(h.InstallationID, time.Now())
		switch {
		case h.InstallationID[0] < '2' && n == 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
		case h.InstallationID[0] == '2' && n == 1:
			w.Header().Set("Connection", "close")
			w.WriteHeader(202)
		case h.InstallationID[0] == '3':
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"no"}`)
		case h.InstallationID[0] == '4':
			fmt.Fprint(w, "one ")
			w.(http.Flusher).Flush() // in chunks
			fmt.Fprint(w, "two")
		case h.InstallationID[0] == '5' && n == 1:
			panic(http.ErrAbortHandler) // no answer
		}
	}))
	defer web.Close()
	none := simulate.Shares{}
	f, err := simulate.New(simulate.Config{Seed: 6, Installations: 60, Days: 1, Shares: &none})
	if err != nil {
		t.Fatal(err)
	}
	want, refused, retried := 0, 0, 0
	ids := make(map[string]bool)
	for _, visit := range f.Visits() {
		for _, sent := range visit {
			if sent.Health != nil {
				refused++ // the handler accepts heartbeats only
				continue
			}
			id := sent.Heartbeat.InstallationID
			if id[0] == '3' {
				refused++
				continue
			}
			want++
			if id[0] < '2' || id[0] == '5' {
				if !ids[id] {
					retried++
				}
				ids[id] = true
			}
		}
	}
	result, err := f.Send(t.Context(), simulate.Sending{Endpoint: web.URL, Connections: 8})
	if err != nil {
		t.Fatal(err)
	}
	if int(result.Accepted) != want || result.Refused[400] != uint64(refused) || int(result.Retried) != retried || result.Failed != 0 {
		t.Errorf("got %d accepted, %v refused, %d failed, %d retried; want %d, %d, 0, %d",
			result.Accepted, result.Refused, result.Failed, result.Retried, want, refused, retried)
	}
	if len(result.Latency) != want || !slices.IsSorted(result.Latency) {
		t.Errorf("got %d latencies of %d reports, in order: %t", len(result.Latency), want, slices.IsSorted(result.Latency))
	}
}

// one is a source of one report without a body.
func one(int) simulate.Source {
	sent := false
	return func(buf []byte) (string, []byte, bool) {
		defer func() { sent = true }()
		return simulate.HeartbeatPath, buf, !sent
	}
}

// The rate, the duration and the context end the sending.
func TestSendEnds(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	endless := func(int) simulate.Source {
		return func(buf []byte) (string, []byte, bool) { return simulate.HeartbeatPath, append(buf, "{}"...), true }
	}
	var result simulate.Result
	var err error
	var most uint64
	for lasts := 300 * time.Millisecond; result.Accepted == 0 && lasts < time.Minute; lasts *= 4 { // the first one takes longer on a busy machine
		began := time.Now()
		result, err = simulate.Sending{Endpoint: web.URL, Connections: 2, Rate: 50, Duration: lasts}.Run(t.Context(), endless)
		if err != nil {
			t.Fatal(err)
		}
		most = uint64(time.Since(began).Seconds()*50) + 2
	}
	if result.Accepted == 0 || result.Accepted > most {
		t.Errorf("got %d reports, want 1 to %d", result.Accepted, most)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if result, err = (simulate.Sending{Endpoint: web.URL}).Run(ctx, endless); err != nil || result.Accepted > 0 {
		t.Errorf("got %d reports and %v, want none", result.Accepted, err)
	}
	for _, s := range []simulate.Sending{{Endpoint: "ftp://x"}, {Endpoint: "http://"}, {Endpoint: web.URL, Rate: -1}, {Endpoint: web.URL, Connections: -1}} {
		if _, err := s.Run(t.Context(), endless); err == nil {
			t.Errorf("%+v: got no error", s)
		}
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if _, err := (simulate.Sending{Endpoint: gone.URL, Connections: 1, Attempts: 1}).Run(t.Context(), one); err == nil {
		t.Error("nobody listens: got no error")
	}
}

// A connection attempt that the end cuts short is no failure. It ends by
// the same deadline as the context, a moment earlier.
func TestSendEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	result, err := simulate.Sending{Endpoint: "http://127.0.0.1:9", Connections: 1, Attempts: 1}.Run(ending{t.Context()}, one)
	if err != nil || result.Failed > 0 {
		t.Errorf("got %d failed (%s), %v, want none", result.Failed, result.Error, err)
	}
}

// An ending context has no time left, but has not ended yet.
type ending struct{ context.Context }

func (ending) Deadline() (time.Time, bool) { return time.Now(), true }

func TestQuantile(t *testing.T) {
	t.Parallel()
	var all simulate.Latencies
	if got := all.Quantile(0.5); got != 0 {
		t.Errorf("got median %v without latencies, want 0", got)
	}
	for i := range 100_000 {
		all = append(all, time.Duration(i+1)*time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.01: 1000, 0.5: 50_000, 0.99: 99_000, 1: 100_000} {
		if got := all.Quantile(q); got != want*time.Microsecond {
			t.Errorf("quantile %v: got %v, want %v", q, got, want*time.Microsecond)
		}
	}
}
