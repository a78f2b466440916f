package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"time"
)

// A Sending configures how reports are sent.
type Sending struct {
	// Endpoint is the collector's URL. Required.
	Endpoint string
	// Connections is the number of concurrent requests; 16 by default.
	Connections int
	// Rate is in reports per second; 0 is as many as possible.
	Rate float64
	// Duration bounds the time; 0 means until all reports are sent.
	Duration time.Duration
	// Attempts is how often to send a report that is answered with 429,
	// with 503, or not at all; 5 by default. Between attempts the
	// connection waits as long as the collector asks, at most a minute,
	// or else a second.
	Attempts int
	// Progress, if not nil, is called after each report, concurrently.
	Progress func()
	// Connect returns the client of one connection, which opens no
	// connection after ctx has ended. Nil uses net/http.
	Connect func(ctx context.Context, endpoint string) (Client, error)
}

// A Result is what became of the reports.
type Result struct {
	// Accepted counts answers of 2xx, Refused other answers by status,
	// and Failed reports without an answer. Retried counts further
	// attempts.
	Accepted uint64         `json:"accepted"`
	Refused  map[int]uint64 `json:"refused"`
	Failed   uint64         `json:"failed"`
	Retried  uint64         `json:"retried"`
	// Error is the reason of the last failure.
	Error   string        `json:"error,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
	// Latency is that of the accepted reports, in their last attempt.
	// With a Rate it begins when the report was due, so that a stall of
	// the server shows in all reports that waited for it.
	Latency Latencies `json:"-"`
}

// Latencies are durations in ascending order.
type Latencies []time.Duration

// Quantile returns the duration that the share q, from 0 to 1, of all
// durations do not exceed; 0 if there are none.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[max(int(math.Ceil(q*float64(len(l)))), 1)-1]
}

// PerSecond returns the rate of accepted reports.
func (r *Result) PerSecond() float64 { return float64(r.Accepted) / r.Elapsed.Seconds() }

// MarshalJSON adds the rate, and percentiles in milliseconds.
func (r *Result) MarshalJSON() ([]byte, error) {
	type plain Result
	milliseconds := func(q float64) float64 { return float64(r.Latency.Quantile(q).Microseconds()) / 1000 }
	return json.Marshal(struct {
		*plain
		PerSecond float64            `json:"per_second"`
		Latency   map[string]float64 `json:"latency_ms"`
	}{(*plain)(r), r.PerSecond(), map[string]float64{
		"p50": milliseconds(0.5), "p90": milliseconds(0.9), "p99": milliseconds(0.99), "max": milliseconds(1),
	}})
}

// Send sends the reports of the fleet's last day on all connections at
// once, those of one installation in order. It returns early when ctx
// ends. The error says that nothing could be sent at all; the result has
// what became of single reports.
func (f *Fleet) Send(ctx context.Context, s Sending) (Result, error) {
	// Not iter.Pull, which panics when the main goroutine is locked to
	// its thread, as it is in package main.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	visits := make(chan Visit, 256)
	go func() {
		defer close(visits)
		for day, visit := range f.Visits() {
			if day < f.config.Last {
				continue
			}
			select {
			case visits <- visit:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.Run(ctx, func(int) Source {
		var rest Visit
		return func(buf []byte) (string, []byte, bool) {
			if len(rest) == 0 {
				rest = <-visits
			}
			if len(rest) == 0 {
				return "", nil, false
			}
			sent := rest[0]
			rest = rest[1:]
			if sent.Health != nil {
				sent.Health.SentAt = time.Now()
				return HealthPath, sent.Health.AppendJSON(buf), true
			}
			sent.Heartbeat.SentAt = time.Now()
			return HeartbeatPath, sent.Heartbeat.AppendJSON(buf), true
		}
	})
}

// LastReports returns the number of reports that Send sends.
func (f *Fleet) LastReports() (n int) {
	for day, visit := range f.Visits() {
		if day == f.config.Last {
			n += len(visit)
		}
	}
	return n
}

// A Source returns the next report of one connection: the path to post
// it to and its body, which may use buf. It returns false after the last
// one. It is called by one goroutine.
type Source func(buf []byte) (path string, body []byte, ok bool)

// Run sends the reports of sources, one for each connection, until all
// are empty, the duration is over, or ctx ends.
func (s Sending) Run(ctx context.Context, source func(connection int) Source) (Result, error) {
	s.Connections, s.Attempts = cmp.Or(s.Connections, 16), cmp.Or(s.Attempts, 5)
	if s.Connect == nil {
		s.Connect = connect
	}
	if s.Connections < 0 || s.Attempts < 0 || s.Rate < 0 || s.Duration < 0 {
		return Result{}, errors.New("negative connections, attempts, rate or duration")
	}
	if s.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Duration)
		defer cancel()
	}
	began := time.Now()
	total := Result{Refused: make(map[int]uint64)}
	var mu sync.Mutex
	begun := 0
	due := func() time.Time { // of the next report; it may be in the past
		if s.Rate == 0 {
			return time.Now()
		}
		mu.Lock()
		defer mu.Unlock()
		begun++
		return began.Add(time.Duration(float64(begun-1) / s.Rate * float64(time.Second)))
	}
	var wg sync.WaitGroup
	for i := range s.Connections {
		client, err := s.Connect(ctx, s.Endpoint)
		if err != nil {
			return Result{}, err
		}
		w := &worker{s: &s, client: client, due: due, next: source(i), result: Result{Refused: make(map[int]uint64)}}
		wg.Go(func() {
			w.run(ctx)
			client.Close()
			mu.Lock()
			defer mu.Unlock()
			total.merge(&w.result)
		})
	}
	wg.Wait()
	total.Elapsed = time.Since(began)
	slices.Sort(total.Latency)
	if total.Accepted == 0 && len(total.Refused) == 0 && total.Failed > 0 {
		return total, fmt.Errorf("send to %s: %s", s.Endpoint, total.Error)
	}
	return total, nil
}

func (r *Result) merge(other *Result) {
	r.Accepted, r.Failed, r.Retried = r.Accepted+other.Accepted, r.Failed+other.Failed, r.Retried+other.Retried
	for status, n := range other.Refused {
		r.Refused[status] += n
	}
	r.Error = cmp.Or(other.Error, r.Error)
	r.Latency = append(r.Latency, other.Latency...)
}

type worker struct {
	s      *Sending
	client Client
	due    func() time.Time
	next   Source
	result Result
}

func (w *worker) run(ctx context.Context) {
	var buf []byte
	for ctx.Err() == nil {
		due := w.due()
		if wait := time.Until(due); wait > 0 && !sleep(ctx, wait) {
			return
		}
		path, body, ok := w.next(buf[:0])
		if !ok {
			return
		}
		buf = body
		w.send(ctx, due, path, body)
		if w.s.Progress != nil {
			w.s.Progress()
		}
	}
}

func (w *worker) send(ctx context.Context, due time.Time, path string, body []byte) {
	for attempt := 1; ; attempt++ {
		answer, err := w.client.Send(path, body)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && over(ctx) {
			return // nothing was sent before the end
		}
		again := err != nil || answer.Status == 503 || answer.Status == 429
		switch {
		case err == nil && answer.Status/100 == 2:
			w.result.Accepted++
			w.result.Latency = append(w.result.Latency, time.Since(due))
			return
		case !again || attempt == w.s.Attempts || ctx.Err() != nil ||
			!sleep(ctx, cmp.Or(max(min(answer.RetryAfter, time.Minute), 0), time.Second)):
			if err != nil {
				w.result.Failed++
				w.result.Error = err.Error()
			} else {
				w.result.Refused[answer.Status]++
			}
			return
		}
		w.result.Retried++
		due = time.Now()
	}
}

// over reports whether a context has ended or is about to. A connection
// attempt ends by the same deadline, perhaps a moment earlier than the
// context.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// sleep reports whether it waited the whole time.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
