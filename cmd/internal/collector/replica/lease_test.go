package replica

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/report"
)

// renewals is a term with only Renew.
type renewals struct {
	Term
	takes atomic.Int64 // a time.Duration
	err   error
}

func (r *renewals) Renew(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(r.takes.Load())):
		return r.err
	case <-ctx.Done():
		return collector.ErrUnavailable
	}
}

// A lease counts from the beginning of the last renewal, and ends before the store
// lets others lead, which counts from when the renewal arrived.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &renewals{}
		term.takes.Store(int64(500 * time.Millisecond))
		l := newLease(time.Now(), 3*time.Second)
		defer l.end()
		go l.renew(term, slog.New(slog.DiscardHandler))
		time.Sleep(time.Minute)
		if !l.valid() {
			t.Fatal("a lease that is renewed has ended")
		}
		term.takes.Store(int64(time.Hour)) // the network is cut
		cut := time.Now()
		<-l.ctx.Done()
		if took := time.Since(cut); took > 2700*time.Millisecond || took < time.Second {
			t.Errorf("the lease ended %s after the cut, want within 2.7 s", took)
		}
		if l.valid() {
			t.Error("it is valid after its end")
		}
		l.extend(time.Now()) // an answer that comes late
		if l.valid() {
			t.Error("a late answer revives it")
		}
	})
}

// A process that was paused knows at once that it may not answer.
func TestLeaseAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease(time.Now().Add(-2699*time.Millisecond), 3*time.Second) // Take took that long
		defer l.end()
		if !l.valid() {
			t.Error("the lease has ended early")
		}
		l.timer.Stop() // timers of a paused process are late
		time.Sleep(time.Millisecond)
		if l.valid() {
			t.Error("the lease is valid because its timer is late")
		}
	})
}

func TestLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease(time.Now(), 3*time.Second)
		go l.renew(&renewals{err: collector.ErrLost}, slog.New(slog.DiscardHandler))
		began := time.Now()
		<-l.ctx.Done()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the lease ended after %s, want at the first renewal", took)
		}
	})
}

// lost is a term whose commits say that another one leads.
type lost struct{ Term }

func (lost) Commit(context.Context, *collector.Batch) (int64, error) { return 0, collector.ErrLost }

func TestLostCommitEndsTheLease(t *testing.T) {
	t.Parallel()
	l := newLease(time.Now(), time.Hour)
	defer l.end()
	if _, err := (watched{lost{}, l}).Commit(t.Context(), &collector.Batch{}); !errors.Is(err, collector.ErrLost) || l.valid() {
		t.Errorf("got %v, valid %t", err, l.valid())
	}
}

// recorder is a target that keeps what it is sent, in the form of the wire.
type recorder struct {
	sent bytes.Buffer
	key  collector.Key
}

func (r *recorder) count(_ context.Context, report counter.Report) (counter.Outcome, error) {
	if report.Heartbeat != nil {
		r.key = report.Heartbeat.Key
	} else {
		r.key = report.Health.Key
	}
	r.sent.Write(new(coder).frame((&batch{Reports: []counter.Report{report}}).fields))
	return counter.Outcome{}, nil
}

func (r *recorder) ask(_ context.Context, q question) (answer, error) {
	r.key = q.Keys["app"]
	return answer{}, json.NewEncoder(&r.sent).Encode(q)
}

func (r *recorder) forward(http.ResponseWriter, *http.Request) error { return nil }

const rawID = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"

func withRecorder(t *testing.T) (*Replica, *recorder, *secret.Secret) {
	t.Helper()
	keys, err := secret.New(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	r, target := &Replica{opts: Options{Secret: keys}}, &recorder{}
	r.current.set(target)
	r.apps.put([]collector.App{{Key: "app"}})
	return r, target, keys
}

// No message to another replica has an installation ID, but its key in the app.
func TestNoIDOnTheWire(t *testing.T) {
	t.Parallel()
	r, target, keys := withRecorder(t)
	for name, send := range map[string]func() error{
		"heartbeat": func() error {
			_, err := r.Heartbeat(t.Context(), collector.Received{Heartbeat: report.Heartbeat{App: "app", InstallationID: rawID}})
			return err
		},
		"health report": func() error {
			_, err := r.Health(t.Context(), collector.ReceivedHealth{Report: report.HealthReport{App: "app", InstallationID: rawID}})
			return err
		},
		"description": func() error { _, err := r.Describe(t.Context(), counter.Lookup{ID: rawID}); return err },
		"deletion":    func() error { _, err := r.Forget(t.Context(), counter.Lookup{ID: rawID}); return err },
	} {
		target.sent.Reset()
		target.key = collector.Key{}
		if err := send(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if target.key != keys.Key("app", rawID) {
			t.Errorf("%s: the key is not sent", name)
		}
		if sent := target.sent.String(); sent == "" || strings.Contains(sent, rawID) || strings.Contains(sent, rawID[:8]) {
			t.Errorf("%s: the ID is sent", name)
		}
	}
}
