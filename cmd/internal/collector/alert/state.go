package alert

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A State is the state of the alert that a [Message] is about.
type State string

// The values of [State].
const (
	Firing   State = "firing"
	Resolved State = "resolved"
	Test     State = "test"
)

// A Message is what targets receive: JSON for a webhook.
type Message struct {
	// ID identifies the message. A repeated delivery has the same ID.
	ID    string `json:"id"`
	App   string `json:"app"`
	Kind  Kind   `json:"kind,omitempty"` // of the rule; empty for a test
	State State  `json:"state"`
	// Text has one line for each finding of the rule, and at most MaxLines.
	Text string    `json:"text"`
	At   time.Time `json:"at"`
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
	s.Last = &m
	if s.Outbox == nil {
		s.Outbox = make(map[string][]delivery)
	}
	for _, t := range targets {
		queue := append(s.Outbox[t.key], delivery{Message: m, Next: m.At})
		s.Outbox[t.key] = queue[max(0, len(queue)-MaxOutbox):]
	}
}
