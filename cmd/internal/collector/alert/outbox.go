package alert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A State says what a message is about.
type State string

// The values of [State].
const (
	Firing   State = "firing"
	Resolved State = "resolved"
	Test     State = "test"
)

// A Message is what a webhook gets as JSON, and what stands in an e-mail.
type Message struct {
	// ID tells messages apart: one that comes again has the same.
	ID    string `json:"id"`
	App   string `json:"app"`
	Kind  Kind   `json:"kind,omitempty"` // of the rule; a test has none
	State State  `json:"state"`
	// Text says what is so, or is over, in one line for each thing that the rule found, and at most MaxLines.
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// A state is what is remembered of an app's alerts. It is stored as a setting.
type state struct {
	// Firing is what fires, by the key of its rule and that of the finding.
	Firing map[string]firing `json:"firing"`
	// Outbox is what waits to be delivered, by the key of the target, the oldest first.
	Outbox map[string][]delivery `json:"outbox,omitempty"`
	// Last is what was said last.
	Last *Message `json:"last,omitempty"`
	// Troubles are the last failures, by the key of the target.
	Troubles map[string]string `json:"troubles,omitempty"`
}

type firing struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// A delivery is a message on its way to one target.
type delivery struct {
	Message  Message   `json:"message"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
}

const (
	// MaxLines bounds the lines of a message, and MaxOutbox the messages that wait for one target; the oldest is dropped.
	MaxLines  = 10
	MaxOutbox = 20
	// GiveUp is how long a message is tried to be delivered.
	GiveUp = 24 * time.Hour
	// The wait between attempts doubles from firstWait to lastWait.
	firstWait = time.Minute
	lastWait  = time.Hour
	// stateWait bounds the storing of a state.
	stateWait = 5 * time.Second
)

func (w *Watcher) state(ctx context.Context, app collector.AppNum) (state, error) {
	s := state{Firing: make(map[string]firing)}
	data, ok, err := w.c.Setting(ctx, app, settingState)
	if err != nil || !ok {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

func (w *Watcher) putState(ctx context.Context, app collector.AppNum, s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return w.c.PutSetting(ctx, app, settingState, data)
}

// of gives what fires under keys with the prefix, without it.
func (s *state) of(prefix string) map[string]firing {
	found := make(map[string]firing)
	for key, f := range s.Firing {
		if len(key) >= len(prefix) && key[:len(prefix)] == prefix {
			found[key[len(prefix):]] = f
		}
	}
	return found
}

// say puts what a rule found into the outbox, for each target.
func (s *state) say(targets []target, m Message, lines []string) {
	if len(lines) == 0 {
		return
	}
	if more := len(lines) - MaxLines; more > 0 {
		lines = append(slices.Clone(lines[:MaxLines-1]), fmt.Sprintf("and %d more", more+1))
	}
	m.Text = strings.Join(lines, "\n")
	m.ID = idOf(m.App, string(m.Kind), string(m.State), m.Text, m.At.String())
	s.Last = &m
	if s.Outbox == nil {
		s.Outbox = make(map[string][]delivery)
	}
	for _, t := range targets {
		queue := append(s.Outbox[t.key], delivery{Message: m, Next: m.At})
		s.Outbox[t.key] = queue[max(0, len(queue)-MaxOutbox):]
	}
}

// lines says the state in words.
func (s *state) lines() []string {
	var lines []string
	fires := make([]firing, 0, len(s.Firing))
	for _, f := range s.Firing {
		fires = append(fires, f)
	}
	slices.SortFunc(fires, func(a, b firing) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Text, b.Text)
	})
	for _, f := range fires {
		lines = append(lines, "Since "+moment(f.Since)+": "+f.Text)
	}
	if s.Last != nil {
		lines = append(lines, "Last said at "+moment(s.Last.At)+": "+strings.ReplaceAll(s.Last.Text, "\n", "; "))
	}
	for _, name := range sortedKeys(s.Troubles) {
		lines = append(lines, s.Troubles[name])
	}
	waiting := 0
	for _, queue := range s.Outbox {
		waiting += len(queue)
	}
	if waiting > 0 {
		lines = append(lines, fmt.Sprintf("Deliveries that wait for another attempt: %d", waiting))
	}
	return lines
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// deliver delivers what is due, to all targets side by side and to each one in order. It tells whether the state changed.
func (s *state) deliver(ctx context.Context, targets []target, now time.Time, log *slog.Logger) (changed bool) {
	outbox, troubles := make(map[string][]delivery), make(map[string]string)
	var mu sync.Mutex
	eachOf(targets, func(t target) error {
		queue, trouble, tried := t.drain(ctx, s.Outbox[t.key], now, log)
		mu.Lock()
		defer mu.Unlock()
		if changed = changed || tried; !tried {
			trouble = s.Troubles[t.key]
		}
		if len(queue) > 0 {
			outbox[t.key] = queue
		}
		if trouble != "" {
			troubles[t.key] = trouble
		}
		return nil
	})
	// A target that was removed gets nothing more, and has no troubles.
	changed = changed || len(outbox) != len(s.Outbox) || len(troubles) != len(s.Troubles)
	s.Outbox, s.Troubles = outbox, troubles
	return changed
}

// drain delivers what is due of a target's queue. It gives what is left, and what the trouble is; tried says whether there
// was an attempt.
func (t target) drain(
	ctx context.Context, queue []delivery, now time.Time, log *slog.Logger,
) (left []delivery, trouble string, tried bool) {
	for len(queue) > 0 && !queue[0].Next.After(now) && ctx.Err() == nil {
		d := &queue[0]
		err := t.deliver(ctx, d.Message)
		if err != nil && ctx.Err() != nil {
			return queue, "", tried // the collector stops; the next start tries again
		}
		tried = true
		if err == nil {
			queue, trouble = queue[1:], ""
			continue
		}
		d.Attempts++
		log.Warn("Alert was not delivered", "target", t.name, "attempt", d.Attempts, "error", err.Error())
		if now.Sub(d.Message.At) >= GiveUp {
			queue, trouble = queue[1:], fmt.Sprintf("Given up at %s to deliver to %s: %v", moment(now), t.name, err)
			if len(queue) > 0 {
				queue[0].Attempts = d.Attempts // the target is as it was
			}
			continue
		}
		d.Next = now.Add(min(lastWait, firstWait<<min(d.Attempts-1, 10)))
		return queue, fmt.Sprintf("Not delivered to %s at %s: %v", t.name, moment(now), err), true // none overtakes it
	}
	return queue, trouble, tried
}

// A target is where messages go.
type target struct {
	key     string // stays the same while the target does
	name    string // for people; it holds nothing secret
	deliver func(context.Context, Message) error
}

// A sender delivers messages.
type sender struct {
	client *http.Client
	roots  *x509.CertPool // that certificates of mail servers are checked against; nil is the machine's
}

func newSender() sender { return sender{client: newClient()} }

// targets gives those of a configuration.
func (s sender) targets(c Config) (targets []target) {
	for i, hook := range c.Webhooks {
		deliver := func(ctx context.Context, m Message) error { return hook.post(ctx, s.client, m) }
		targets = append(targets, target{"webhook " + idOf(hook.URL), fmt.Sprintf("webhook %d", i+1), deliver})
	}
	if c.Email != nil {
		targets = append(targets, target{"e-mail", "e-mail", func(ctx context.Context, m Message) error {
			return c.Email.send(ctx, s.roots, m)
		}})
	}
	return targets
}

// eachOf does something with all of a list, MaxTargets and one of them at the same time.
func eachOf[T any](list []T, do func(T) error) []error {
	errs := make([]error, len(list))
	slots := make(chan struct{}, MaxTargets+1)
	var wg sync.WaitGroup
	for i, item := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(item)
		})
	}
	wg.Wait()
	return errs
}
