package alert

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// A State is the state of the alert that a [Message] is about.
type State string

// The values of [State].
const (
	Firing   State = "firing"
	Resolved State = "resolved"
	Test     State = "test"
	// Weekly is the state of a report of what changed in a week.
	Weekly State = "weekly"
)

// A Message is what targets receive: JSON for a webhook.
type Message struct {
	// ID identifies the message. A repeated delivery has the same ID.
	ID    string `json:"id"`
	App   string `json:"app"`
	Kind  Kind   `json:"kind,omitempty"` // of the rule; empty for a test and a weekly report
	State State  `json:"state"`
	// Text has one line for each finding of the rule, and at most MaxLines.
	Text string    `json:"text"`
	At   time.Time `json:"at"`
	// To is the last day of the week that a weekly report is about, and Changes are
	// what it says, as in Text.
	To      collector.Day `json:"to,omitzero"`
	Changes []Change      `json:"changes,omitempty"`
}

// A Change is a line of a weekly report.
type Change struct {
	Kind insight.Kind `json:"kind"`
	Text string       `json:"text"`
	URL  string       `json:"url,omitzero"` // of the page that shows it; empty if the collector does not know its own address
}

// A state is what the watcher remembers of an app. It is stored as a setting.
type state struct {
	// Firing are the current findings, by the key of the rule and of the
	// finding.
	Firing map[string]firing `json:"firing"`
	// Outbox are the pending deliveries by target, oldest first.
	Outbox map[string][]delivery `json:"outbox,omitempty"`
	// Last is the last message.
	Last *Message `json:"last,omitempty"`
	// Week is the day the last weekly report was due.
	Week collector.Day `json:"week,omitzero"`
	// Failures describe the last failed delivery, by target.
	Failures map[string]string `json:"troubles,omitempty"`
}

type firing struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// A delivery is a message that a target has not received yet.
type delivery struct {
	Message  Message   `json:"message"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
}

const (
	// MaxLines bounds the lines of a message.
	MaxLines = 10
	// MaxOutbox bounds the pending messages of a target. A further one replaces
	// the oldest.
	MaxOutbox = 20
	// storeTimeout bounds the storing of a state.
	storeTimeout = 5 * time.Second
)

func (w *Watcher) state(ctx context.Context, app collector.AppNum) (state, error) {
	s := state{Firing: make(map[string]firing)}
	err := w.read(ctx, app, settingState, &s)
	for key, f := range s.Firing {
		if rest, ok := strings.CutPrefix(key, oldFaultRate+" "); ok {
			delete(s.Firing, key)
			s.Firing[string(FaultRate)+" "+rest] = f
		}
	}
	return s, err
}

// firing returns what fires under keys with the prefix, by the rest of the key.
func (s *state) firing(prefix string) map[string]firing {
	found := make(map[string]firing)
	for key, f := range s.Firing {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			found[rest] = f
		}
	}
	return found
}

// enqueue adds a message with these lines to the outbox of each target. Without
// lines there is no message.
func (s *state) enqueue(targets []target, m Message, lines []string) {
	if len(lines) == 0 {
		return
	}
	if more := len(lines) - MaxLines; more > 0 {
		lines = append(slices.Clone(lines[:MaxLines-1]), fmt.Sprintf("and %d more", more+1))
	}
	m.Text = strings.Join(lines, "\n")
	m.ID = idOf(m.App, string(m.Kind), string(m.State), m.Text, m.At.String())
	if m.State != Weekly {
		s.Last = &m
	}
	if s.Outbox == nil {
		s.Outbox = make(map[string][]delivery)
	}
	for _, t := range targets {
		queue := append(s.Outbox[t.key], delivery{Message: m, Next: m.At})
		s.Outbox[t.key] = queue[max(0, len(queue)-MaxOutbox):]
	}
}

const (
	// GiveUp is how long the delivery of a message is retried.
	GiveUp = 24 * time.Hour
	// The delay between two attempts doubles from minDelay to maxDelay.
	minDelay = time.Minute
	maxDelay = time.Hour
)

// deliver attempts the deliveries that are due: to all targets concurrently, and
// to each of them in order. It reports whether the state changed.
func (s *state) deliver(ctx context.Context, targets []target, now time.Time, log *slog.Logger) (changed bool) {
	outbox, failures := make(map[string][]delivery), make(map[string]string)
	var mu sync.Mutex
	forEach(targets, func(t target) error {
		queue, failure, tried := t.drain(ctx, s.Outbox[t.key], now, log)
		mu.Lock()
		defer mu.Unlock()
		if changed = changed || tried; !tried {
			failure = s.Failures[t.key]
		}
		if len(queue) > 0 {
			outbox[t.key] = queue
		}
		if failure != "" {
			failures[t.key] = failure
		}
		return nil
	})
	// The deliveries and failures of removed targets are dropped.
	changed = changed || len(outbox) != len(s.Outbox) || len(failures) != len(s.Failures)
	s.Outbox, s.Failures = outbox, failures
	return changed
}

// drain attempts the deliveries in a target's queue that are due. It returns the
// rest of the queue, describes the last failure, and reports whether there was
// an attempt.
func (t target) drain(
	ctx context.Context, queue []delivery, now time.Time, log *slog.Logger,
) (rest []delivery, failure string, tried bool) {
	for len(queue) > 0 && !queue[0].Next.After(now) && ctx.Err() == nil {
		d := &queue[0]
		err := t.deliver(ctx, d.Message)
		if err != nil && ctx.Err() != nil {
			return queue, "", tried // the collector is stopping; the next start retries
		}
		tried = true
		if err == nil {
			queue, failure = queue[1:], ""
			continue
		}
		d.Attempts++
		log.Warn("Alert was not delivered", "target", t.name, "attempt", d.Attempts, "error", causeOf(err))
		if now.Sub(d.Message.At) < GiveUp {
			d.Next = now.Add(min(maxDelay, minDelay<<min(d.Attempts-1, 10)))
			// No later message overtakes this one.
			return queue, fmt.Sprintf("Delivery to %s failed at %s: %v", t.name, moment(now), err), true
		}
		attempts := d.Attempts
		queue, failure = queue[1:], fmt.Sprintf("Gave up delivering to %s at %s: %v", t.name, moment(now), err)
		if len(queue) > 0 {
			queue[0].Attempts = attempts // the target is still down
		}
	}
	return queue, failure, tried
}

// A target is where messages go.
type target struct {
	key     string // identifies the target while its address stays the same
	name    string // for people; contains no secret
	deliver func(context.Context, Message) error
}

type sender struct {
	client *http.Client
	dialer dialer
	roots  *x509.CertPool // for the certificates of mail servers; nil is the system's
}

func (s sender) targets(c Config) (targets []target) {
	for i, hook := range c.Webhooks {
		deliver := func(ctx context.Context, m Message) error { return oneLine(hook.post(ctx, s.client, m)) }
		targets = append(targets, target{"webhook " + idOf(hook.URL), fmt.Sprintf("webhook %d", i+1), deliver})
	}
	if c.Email != nil {
		deliver := func(ctx context.Context, m Message) error { return oneLine(c.Email.send(ctx, s.dialer, s.roots, m)) }
		targets = append(targets, target{"e-mail", "email", deliver})
	}
	return targets
}

// forEach calls do for each item, with a limit that all targets of an app fit
// into, and returns the errors in the order of the items.
func forEach[T any](items []T, do func(T) error) []error {
	errs := make([]error, len(items))
	semaphore := make(chan struct{}, MaxTargets+1)
	var wg sync.WaitGroup
	for i, item := range items {
		semaphore <- struct{}{}
		wg.Go(func() {
			defer func() { <-semaphore }()
			errs[i] = do(item)
		})
	}
	wg.Wait()
	return errs
}
