package alert

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

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
		log.Warn("Alert was not delivered", "target", t.name, "attempt", d.Attempts, "error", err.Error())
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
	roots  *x509.CertPool // for the certificates of mail servers; nil is the system's
}

func (s sender) targets(c Config) (targets []target) {
	for i, hook := range c.Webhooks {
		deliver := func(ctx context.Context, m Message) error { return oneLine(hook.post(ctx, s.client, m)) }
		targets = append(targets, target{"webhook " + idOf(hook.URL), fmt.Sprintf("webhook %d", i+1), deliver})
	}
	if c.Email != nil {
		deliver := func(ctx context.Context, m Message) error { return oneLine(c.Email.send(ctx, s.roots, m)) }
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
