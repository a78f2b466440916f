// Package alert notifies the maintainer of an app by webhook and email when
// something about its fleet changes. It evaluates the rules of the app every
// few minutes, sends one message when a rule fires and one when it is resolved,
// and remembers across restarts what it has sent. It retries a failed delivery
// for a day, so a message can arrive twice, with the same ID. Once a week it
// makes a report of what changed, and sends it if the maintainer wants that.
// docs/alerts.md describes alerts to maintainers.
package alert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// A Collector provides the figures that rules and weekly reports are about, and
// stores settings.
type Collector interface {
	insight.Source
	Apps() []collector.App
	Versions(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Versions, error)
	Floor(ctx context.Context, app collector.AppNum, to collector.Day, v figures.View) (figures.Floor, error)
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

var _ Collector = (*engine.Engine)(nil)

const (
	settingConfig = "alerts"
	settingState  = "alerts.state"
	settingWeeks  = "alerts.weeks"
)

const (
	// Every is the interval between two evaluations of the rules.
	Every = 5 * time.Minute
	// retryInterval is the interval between two looks for pending deliveries.
	retryInterval = time.Minute
	// evaluateTimeout bounds the evaluation of the rules of one app.
	evaluateTimeout = time.Minute
	// MaxFiring is how many findings of one app can fire at once. Further ones
	// cause no message.
	MaxFiring = 50
)

// A Watcher evaluates the rules of all apps. Create it with [New]. It is safe
// for concurrent use.
type Watcher struct {
	c        Collector
	log      *slog.Logger
	send     sender
	pages    string     // the address of the dashboard, or empty
	changing sync.Mutex // held during Change
}

// Options configure a [Watcher].
type Options struct {
	// Allow are networks besides the public ones to which messages may go.
	Allow []netip.Prefix
	// BaseURL is the dashboard's address, for links in messages; empty if it is
	// unknown.
	BaseURL string
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// New returns a watcher, which does nothing before Run.
func New(c Collector, opts Options) *Watcher {
	d := dialer{opts.Allow}
	return &Watcher{c: c, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)), send: sender{client: newClient(d), dialer: d}, pages: opts.BaseURL}
}

// Config returns the configuration of an app, with Kept in place of secrets.
func (w *Watcher) Config(ctx context.Context, app collector.AppNum) (Config, error) {
	config, err := w.config(ctx, app)
	return config.masked(), err
}

func (w *Watcher) config(ctx context.Context, app collector.AppNum) (Config, error) {
	config := Config{Rules: []Rule{}, Webhooks: []Webhook{}}
	err := w.read(ctx, app, settingConfig, &config)
	return config, err
}

// read reads a setting. It leaves value alone if there is none.
func (w *Watcher) read(ctx context.Context, app collector.AppNum, name string, value any) error {
	data, ok, err := w.c.Setting(ctx, app, name)
	if err != nil || !ok {
		return err
	}
	return json.Unmarshal(data, value)
}

func (w *Watcher) put(ctx context.Context, app collector.AppNum, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.c.PutSetting(ctx, app, name, data)
}

// Change calls change with the configuration of an app, which has Kept in place
// of secrets, and validates and stores the result. A secret that is still Kept
// does not change. Nothing changes if change returns an error. Concurrent calls
// wait for each other, so that none is lost.
func (w *Watcher) Change(ctx context.Context, app collector.AppNum, change func(*Config) error) error {
	w.changing.Lock()
	defer w.changing.Unlock()
	stored, err := w.config(ctx, app)
	if err != nil {
		return err
	}
	config := stored.masked()
	if err := change(&config); err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	config = config.clone() // the caller may retain the other, which must get no secrets
	if err := config.restoreSecrets(stored); err != nil {
		return err
	}
	return w.put(ctx, app, settingConfig, config)
}

// Test sends one message to each target of an app, without retries. The error
// names the targets that failed.
func (w *Watcher) Test(ctx context.Context, num collector.AppNum) error {
	config, err := w.config(ctx, num)
	if err != nil {
		return err
	}
	targets := w.send.targets(config)
	if len(targets) == 0 {
		return errors.New("there is no target: add a webhook or email")
	}
	m := Message{State: Test, Text: "This is a test alert.", At: time.Now().UTC().Truncate(time.Second)}
	for _, app := range w.c.Apps() {
		if app.Num == num {
			m.App = app.Key
		}
	}
	m.ID = idOf(m.App, string(Test), m.At.String())
	return errors.Join(forEach(targets, func(t target) error {
		if err := t.deliver(ctx, m); err != nil {
			w.log.Warn("Alert was not delivered", "target", t.name, "attempt", 1, "error", causeOf(err))
			return fmt.Errorf("%s: %w", t.name, err)
		}
		return nil
	})...)
}

// Status returns lines of text for people: what fires, the last alert, and
// failed deliveries.
func (w *Watcher) Status(ctx context.Context, app collector.AppNum) ([]string, error) {
	s, err := w.state(ctx, app)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, f := range slices.SortedFunc(maps.Values(s.Firing), func(a, b firing) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Text, b.Text))
	}) {
		lines = append(lines, "Since "+moment(f.Since)+": "+f.Text)
	}
	if s.Last != nil {
		lines = append(lines, "Last alert ("+moment(s.Last.At)+"): "+strings.ReplaceAll(s.Last.Text, "\n", "; "))
	}
	for _, key := range sortedKeys(s.Failures) {
		lines = append(lines, s.Failures[key])
	}
	pending := 0
	for _, queue := range s.Outbox {
		pending += len(queue)
	}
	if pending > 0 {
		lines = append(lines, fmt.Sprintf("Deliveries to retry: %d", pending))
	}
	return lines, nil
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Run evaluates the rules until ctx ends, and then returns soon: it interrupts
// a delivery, which the next Run repeats.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	started := time.Now()
	evaluated := started
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			due := now.Sub(evaluated) >= Every
			if due {
				evaluated = now
			}
			w.checkAll(ctx, started, due)
		}
	}
}

// checkAll checks all apps concurrently, so that unresponsive targets of one
// delay no other.
func (w *Watcher) checkAll(ctx context.Context, started time.Time, evaluate bool) {
	forEach(w.c.Apps(), func(app collector.App) error {
		err := w.check(ctx, app, started, evaluate)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("Alerts could not be checked", "app", app.Key, "error", err.Error())
		}
		return nil
	})
}

// check evaluates the rules of one app if evaluate is set, and attempts the
// deliveries that are due. It stores messages before it sends them.
func (w *Watcher) check(ctx context.Context, app collector.App, started time.Time, evaluate bool) error {
	config, err := w.config(ctx, app.Num)
	if err != nil {
		return err
	}
	if app.Gone {
		config.Rules = nil // no reports are expected
	}
	s, err := w.state(ctx, app.Num)
	if err != nil {
		return err
	}
	var failures error
	if evaluate {
		var changed bool
		changed, failures = w.evaluate(ctx, app, config, &s, started)
		made, err := w.weekly(ctx, app, config, &s)
		failures = errors.Join(failures, err)
		if changed || made {
			if err := w.put(ctx, app.Num, settingState, s); err != nil {
				return err
			}
		}
	}
	if s.deliver(ctx, w.send.targets(config), time.Now(), w.log.With("app", app.Key)) {
		// Even if ctx has ended, so that the next Run does not deliver again.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		return errors.Join(failures, w.put(ctx, app.Num, settingState, s))
	}
	return failures
}

// evaluate evaluates the rules and adds messages about changes to the state.
func (w *Watcher) evaluate(
	ctx context.Context, app collector.App, config Config, s *state, started time.Time,
) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, evaluateTimeout)
	defer cancel()
	now := time.Now().UTC().Truncate(time.Second)
	targets := w.send.targets(config)
	e := evaluator{c: w.c, app: app, started: started}
	fires := make(map[string]firing)
	for _, rule := range config.Rules {
		prefix := rule.Key() + "\x00"
		before := s.firing(prefix)
		found, known, failure := e.evaluate(ctx, rule, before)
		if failure != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", rule.Kind, failure))
		}
		var begun, resolved []string
		for _, key := range sortedKeys(before) {
			if _, still := found[key]; still || !known {
				fires[prefix+key] = before[key]
			} else {
				resolved = append(resolved, "Resolved: "+before[key].Text)
			}
		}
		for _, key := range sortedKeys(found) {
			if _, already := before[key]; !already && len(fires) < MaxFiring {
				fires[prefix+key] = firing{found[key], now}
				begun = append(begun, found[key])
			}
		}
		s.enqueue(targets, Message{App: app.Key, Kind: rule.Kind, State: Resolved, At: now}, resolved)
		s.enqueue(targets, Message{App: app.Key, Kind: rule.Kind, State: Firing, At: now}, begun)
		changed = changed || len(resolved)+len(begun) > 0
	}
	// Findings of removed rules are dropped without a message.
	changed = changed || len(fires) != len(s.Firing)
	s.Firing = fires
	return changed, err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// idOf returns an ID derived from the texts.
func idOf(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
