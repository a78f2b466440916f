// Package alert tells the maintainer of an app when something about its fleet changes that wants a look: by a webhook, and by
// e-mail. It looks every few minutes, says once that something began and once that it is over, and remembers over restarts
// what it has said. What cannot be delivered is tried again for a day, so a message can arrive twice, and is then known by
// its ID. docs/alerts.md says the same to maintainers.
package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A Collector is what rules look at; *engine.Engine is one.
type Collector interface {
	Apps() []collector.App
	Today(app collector.AppNum) (today, since collector.Day, err error)
	Series(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Series, error)
	Breakdown(
		ctx context.Context, app collector.AppNum, dimension string, window int, to collector.Day, v figures.View,
	) (figures.Breakdown, error)
	Floor(ctx context.Context, app collector.AppNum, to collector.Day, v figures.View) (figures.Floor, error)
	Faults(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Faults, error)
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

var _ Collector = (*engine.Engine)(nil)

// Names of the settings.
const (
	settingConfig = "alerts"
	settingState  = "alerts.state"
)

const (
	// Every is how often the rules are looked at.
	Every = 5 * time.Minute
	// tick is how often there is a look for what waits to be delivered.
	tick = time.Minute
	// lookWait bounds the look at the rules of one app.
	lookWait = time.Minute
	// MaxFiring bounds what fires at once in one app; what comes beyond is not said.
	MaxFiring = 50
)

// A Watcher looks at the rules of all apps. Make it with [New]. It is safe for concurrent use.
type Watcher struct {
	c        Collector
	log      *slog.Logger
	send     sender
	changing sync.Mutex // held while a configuration is read, changed and stored
}

// New makes a watcher; it does nothing before Run. A nil logger discards.
func New(c Collector, log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{c: c, log: log, send: newSender()}
}

// Config gives the configuration of an app, with Kept in the place of secrets.
func (w *Watcher) Config(ctx context.Context, app collector.AppNum) (Config, error) {
	config, err := w.config(ctx, app)
	return config.masked(), err
}

func (w *Watcher) config(ctx context.Context, app collector.AppNum) (Config, error) {
	config := Config{Rules: []Rule{}, Webhooks: []Webhook{}}
	data, ok, err := w.c.Setting(ctx, app, settingConfig)
	if err != nil || !ok {
		return config, err
	}
	return config, json.Unmarshal(data, &config)
}

// Change lets a function change the configuration of an app, with Kept in the place of secrets, checks what comes out, and
// stores it. A secret that is still Kept stays what it is. When the function fails nothing changes. Changes wait for each other,
// so that none is lost.
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
	config = config.copied() // what the function may hold on to gets no secrets
	if err := config.keep(stored); err != nil {
		return err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return w.c.PutSetting(ctx, app, settingConfig, data)
}

// Test sends a message to all targets of an app, once and now. The error names each one that failed.
func (w *Watcher) Test(ctx context.Context, num collector.AppNum) error {
	config, err := w.config(ctx, num)
	if err != nil {
		return err
	}
	targets := w.send.targets(config)
	if len(targets) == 0 {
		return errors.New("there is no target: add a webhook or email")
	}
	m := Message{State: Test, Text: "A test: alerts reach you.", At: time.Now().UTC().Truncate(time.Second)}
	for _, app := range w.c.Apps() {
		if app.Num == num {
			m.App = app.Key
		}
	}
	m.ID = idOf(m.App, string(Test), m.At.String())
	return errors.Join(eachOf(targets, func(t target) error {
		if err := t.deliver(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		return nil
	})...)
}

// Status says in lines what fires, what was said last, and what could not be delivered.
func (w *Watcher) Status(ctx context.Context, app collector.AppNum) ([]string, error) {
	s, err := w.state(ctx, app)
	if err != nil {
		return nil, err
	}
	return s.lines(), nil
}

// Run looks at the rules until the context ends, and then returns soon: a delivery that is under way is given up, and tried
// again by the next start.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	started := time.Now()
	looked := started
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			look := now.Sub(looked) >= Every
			if look {
				looked = now
			}
			w.round(ctx, started, look)
		}
	}
}

// round takes care of all apps side by side, so that targets of one that do not answer hold up no other.
func (w *Watcher) round(ctx context.Context, started time.Time, look bool) {
	eachOf(w.c.Apps(), func(app collector.App) error {
		err := w.attend(ctx, app, started, look)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("Alerts are in trouble", "app", app.Key, "error", err.Error())
		}
		return nil
	})
}

// attend looks at the rules of one app, and delivers what waits. What is to be said is stored before it is sent.
func (w *Watcher) attend(ctx context.Context, app collector.App, started time.Time, look bool) error {
	config, err := w.config(ctx, app.Num)
	if err != nil {
		return err
	}
	s, err := w.state(ctx, app.Num)
	if err != nil {
		return err
	}
	var troubles error
	if app.Gone {
		config.Rules = nil // nothing is expected of it
	}
	if look {
		var changed bool
		changed, troubles = w.look(ctx, app, config, &s, started)
		if changed {
			if err := w.putState(ctx, app.Num, s); err != nil {
				return err
			}
		}
	}
	if s.deliver(ctx, w.send.targets(config), time.Now(), w.log.With("app", app.Key)) {
		// Also when the context has ended: what is delivered shall not be delivered again by the next start.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateWait)
		defer cancel()
		return errors.Join(troubles, w.putState(ctx, app.Num, s))
	}
	return troubles
}

// look looks at the rules, and puts what is to be said into the state.
func (w *Watcher) look(
	ctx context.Context, app collector.App, config Config, s *state, started time.Time,
) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	now := time.Now().UTC().Truncate(time.Second)
	targets := w.send.targets(config)
	j := judge{c: w.c, app: app, started: started}
	fires := make(map[string]firing)
	for _, rule := range config.Rules {
		prefix := rule.Key() + "\x00"
		before := s.of(prefix)
		found, known, e := j.judge(ctx, rule, before)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", rule.Kind, e))
		}
		var begin, over []string
		for _, key := range sortedKeys(before) {
			if _, still := found[key]; still || !known {
				fires[prefix+key] = before[key]
			} else {
				over = append(over, "Over: "+before[key].Text)
			}
		}
		for _, key := range sortedKeys(found) {
			if _, already := before[key]; !already && len(fires) < MaxFiring {
				fires[prefix+key] = firing{found[key], now}
				begin = append(begin, found[key])
			}
		}
		m := Message{App: app.Key, Kind: rule.Kind, At: now}
		m.State = Resolved
		s.say(targets, m, over)
		m.State = Firing
		s.say(targets, m, begin)
		changed = changed || len(over)+len(begin) > 0
	}
	// What fires for a rule that was removed is forgotten without a word.
	changed = changed || len(fires) != len(s.Firing)
	s.Firing = fires
	return changed, err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// idOf gives an ID that stands for the texts.
func idOf(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
