package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"
	"time"
)

// A Sending says how reports are sent.
type Sending struct {
	// Endpoint is the collector's URL. Required.
	Endpoint string
	// Connections is how many requests are under way at a time; 0 is 16.
	Connections int
	// Rate is how many reports are begun in a second; 0 is as many as can be.
	Rate float64
	// Duration ends the sending when not all is sent by then; 0 is no bound.
	Duration time.Duration
	// Attempts is how often a report is sent that is answered with 429 or 503, or not at all; 0 is 5. Between two of them
	// the connection waits as long as the collector asks for, up to a minute, or else a second.
	Attempts int
	// Progress is called after each report, from many goroutines. Nil is none.
	Progress func()
	// Connect returns the client of one connection; when ctx ends it
	// opens no more connections. Nil uses net/http.
	Connect func(ctx context.Context, endpoint string) (Client, error)
}

// A Result says what became of reports that were sent.
type Result struct {
	// Accepted were answered with 2xx, Refused with another status, by status, and Failed not at all. Retried counts the
	// attempts that were made again.
	Accepted uint64         `json:"accepted"`
	Refused  map[int]uint64 `json:"refused"`
	Failed   uint64         `json:"failed"`
	Retried  uint64         `json:"retried"`
	// Error is the last reason why there was no answer.
	Error string `json:"error,omitempty"`
	// Elapsed is how long it took.
	Elapsed time.Duration `json:"elapsed_ns"`
	// Latency is of the accepted reports, at their last attempt. With a Rate it begins when the report was due, so that a
	// server that stalls is seen in all that had to wait for it.
	Latency Histogram `json:"-"`
}

// PerSecond is the rate of accepted reports.
func (r *Result) PerSecond() float64 { return float64(r.Accepted) / r.Elapsed.Seconds() }

// MarshalJSON adds the rate and percentiles in milliseconds.
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

// Send sends what the fleet reports on its last day: all connections at a time, but the reports of one installation in their
// order. It returns early when ctx ends. The error says that nothing could be sent at all; what single reports came to is in
// the result.
func (f *Fleet) Send(ctx context.Context, s Sending) (Result, error) {
	// Not iter.Pull: it does not go together with a main goroutine that is bound to its thread, which package main's is.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	visits := make(chan Visit, 256)
	go func() {
		defer close(visits)
		for visit := range f.lastVisits() {
			select {
			case visits <- visit:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.Run(ctx, func(int) Source {
		var rest Visit
		return func(buf []byte) (bool, []byte, bool) {
			if len(rest) == 0 {
				rest = <-visits
			}
			if len(rest) == 0 {
				return false, nil, false
			}
			sent := rest[0]
			rest = rest[1:]
			if sent.Health != nil {
				sent.Health.SentAt = time.Now()
				return true, sent.Health.AppendJSON(buf), true
			}
			sent.Heartbeat.SentAt = time.Now()
			return false, sent.Heartbeat.AppendJSON(buf), true
		}
	})
}

func (f *Fleet) lastVisits() iter.Seq[Visit] {
	return func(yield func(Visit) bool) {
		for day, visit := range f.Visits() {
			if day == f.config.Last && !yield(visit) {
				return
			}
		}
	}
}

// LastReports is how many reports the fleet has on its last day: what Send sends.
func (f *Fleet) LastReports() int {
	n := 0
	for visit := range f.lastVisits() {
		n += len(visit)
	}
	return n
}

// A Source gives the next report of one connection: whether it is a health report, its body, which may be in buf, and false
// when there is none any more. It is called by one goroutine.
type Source func(buf []byte) (health bool, body []byte, ok bool)

// Run sends the reports of sources, one for each connection, until all are empty, the duration is over, or ctx ends.
func (s Sending) Run(ctx context.Context, source func(connection int) Source) (Result, error) {
	if s.Connections == 0 {
		s.Connections = 16
	}
	if s.Attempts == 0 {
		s.Attempts = 5
	}
	if s.Connect == nil {
		s.Connect = connect
	}
	if s.Connections < 0 || s.Attempts < 0 || s.Rate < 0 || s.Duration < 0 {
		return Result{}, errors.New("the connections, attempts, rate or duration are negative")
	}
	if s.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Duration)
		defer cancel()
	}
	began := time.Now()
	pace := &pacer{began: began, rate: s.Rate}
	total := Result{Refused: make(map[int]uint64)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range s.Connections {
		client, err := s.Connect(ctx, s.Endpoint)
		if err != nil {
			return Result{}, err
		}
		w := &worker{s: &s, client: client, pace: pace, next: source(i), result: Result{Refused: make(map[int]uint64)}}
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
	if other.Error != "" {
		r.Error = other.Error
	}
	r.Latency.Merge(&other.Latency)
}

// A pacer says when each report is due.
type pacer struct {
	mu    sync.Mutex
	began time.Time
	rate  float64
	given int
}

// due gives when the next report is due, which may be past.
func (p *pacer) due() time.Time {
	if p.rate == 0 {
		return time.Now()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.began.Add(time.Duration(float64(p.given) / p.rate * float64(time.Second)))
	p.given++
	return at
}

// A worker sends over one connection.
type worker struct {
	s      *Sending
	client Client
	pace   *pacer
	next   Source
	buf    []byte
	result Result
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		due := w.pace.due()
		if wait := time.Until(due); wait > 0 && !sleep(ctx, wait) {
			return
		}
		health, body, ok := w.next(w.buf[:0])
		if !ok {
			return
		}
		w.buf = body
		w.send(ctx, due, health, body)
		if w.s.Progress != nil {
			w.s.Progress()
		}
	}
}

func (w *worker) send(ctx context.Context, due time.Time, health bool, body []byte) {
	for attempt := 1; ; attempt++ {
		answer, err := w.client.Send(health, body)
		if isDial(err) && over(ctx) {
			return // the end came before the report
		}
		again := err != nil || answer.Status == 503 || answer.Status == 429
		switch {
		case err == nil && answer.Status/100 == 2:
			w.result.Accepted++
			w.result.Latency.Add(time.Since(due))
			return
		case !again || attempt == w.s.Attempts || ctx.Err() != nil:
			w.gaveUp(answer, err)
			return
		}
		wait := min(answer.RetryAfter, time.Minute)
		if wait <= 0 {
			wait = time.Second
		}
		if !sleep(ctx, wait) {
			w.gaveUp(answer, err)
			return
		}
		w.result.Retried++
		due = time.Now()
	}
}

// isDial reports whether a report was not sent because no connection
// could be opened.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// over tells whether a context has ended, or is about to: a connection that is being opened ends by the same deadline, and
// may do so a moment before.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

func (w *worker) gaveUp(answer Answer, err error) {
	if err != nil {
		w.result.Failed++
		w.result.Error = err.Error()
		return
	}
	w.result.Refused[answer.Status]++
}

// sleep waits, and tells whether ctx did not end first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
