// Package alert tells the maintainer of an app when something about its fleet changes that wants a look: by a webhook, and by
// e-mail. It looks every few minutes, says once that something began and once that it is over, and remembers over restarts
// what it has said.
package alert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/collector"
)

// A Collector is what rules look at; *collector.Collector is one.
type Collector interface {
	Apps() []collector.App
	Today(app collector.AppNum) (today, since collector.Day, err error)
	Series(ctx context.Context, app collector.AppNum, r collector.Range, v collector.View) (collector.Series, error)
	Floor(ctx context.Context, app collector.AppNum, to collector.Day, v collector.View) (collector.Floor, error)
	Issues(ctx context.Context, app collector.AppNum, r collector.Range, v collector.View) (collector.Issues, error)
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

var _ Collector = (*collector.Collector)(nil)

// A Kind says what a rule looks for.
type Kind string

// The kinds of rules.
const (
	// ActiveDrop fires when the installations active on the last whole day are Percent fewer than the mean of the same
	// weekday in the four weeks before.
	ActiveDrop Kind = "active_drop"
	// IssueRate fires when of each 1,000 installations of the newest release Percent more are affected by a fault than of
	// the release before it. Versions with fewer than Least installations are not compared.
	IssueRate Kind = "issue_rate"
	// Adoption fires when Percent of the installations active in 28 days run Version or a newer one.
	Adoption Kind = "adoption"
	// Silence fires when no report was counted for Hours, although some installation was active on the day before.
	Silence Kind = "silence"
	// NewBurst fires when more installations are new on a day than Percent above the mean of the 14 days before, and at
	// least Least.
	NewBurst Kind = "new_burst"
)

// A Rule is one condition. Which fields it needs depends on its kind.
type Rule struct {
	Kind    Kind    `json:"kind"`
	Percent float64 `json:"percent,omitzero"` // 1 to 100,000
	Hours   float64 `json:"hours,omitzero"`   // 1 to 720
	Version string  `json:"version,omitzero"`
	Least   int     `json:"least,omitzero"` // 0 is DefaultLeast
}

// DefaultLeast is Rule.Least when that is 0: smaller groups change a lot by chance.
const DefaultLeast = 30

// A Webhook gets a POST with JSON; see [Message].
type Webhook struct {
	// URL is http or https. It is the maintainer's own choice, so it may be an address inside a network.
	URL string `json:"url"`
	// Secret, if not empty, signs the body: the header X-Rollcall-Signature is "sha256=" and the HMAC in hexadecimal.
	Secret string `json:"secret,omitzero"`
}

// An Email is where mail is sent, and through which server.
type Email struct {
	// Server is host:port. TLS is used from the beginning on port 465, and by STARTTLS elsewhere; without it nothing is sent
	// but to a server on loopback.
	Server   string   `json:"server"`
	User     string   `json:"user,omitzero"`
	Password string   `json:"password,omitzero"`
	From     string   `json:"from"`
	To       []string `json:"to"` // at most MaxTargets
}

// A Config is the alerts of one app.
type Config struct {
	Rules    []Rule    `json:"rules"`    // at most MaxRules
	Webhooks []Webhook `json:"webhooks"` // at most MaxTargets
	Email    *Email    `json:"email,omitempty"`
}

// The limits of a [Config].
const (
	MaxRules   = 20
	MaxTargets = 10
)

// Validate tells what is wrong, naming the field.
func (c *Config) Validate() error {
	if len(c.Rules) > MaxRules || len(c.Webhooks) > MaxTargets {
		return fmt.Errorf("there can be %d rules and %d webhooks", MaxRules, MaxTargets)
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rules[%d]: %w", i, err)
		}
	}
	for i, w := range c.Webhooks {
		u, err := url.Parse(w.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return fmt.Errorf("webhooks[%d].url is not an http or https address", i)
		}
	}
	if e := c.Email; e != nil {
		return e.validate()
	}
	return nil
}

func (e *Email) validate() error {
	if host, port, ok := strings.Cut(e.Server, ":"); !ok || host == "" || port == "" {
		return errors.New("email.server is not host:port")
	}
	if _, err := mail.ParseAddress(e.From); err != nil {
		return errors.New("email.from is not an address")
	}
	if len(e.To) == 0 || len(e.To) > MaxTargets {
		return fmt.Errorf("email.to has not 1 to %d addresses", MaxTargets)
	}
	for i, to := range e.To {
		if _, err := mail.ParseAddress(to); err != nil {
			return fmt.Errorf("email.to[%d] is not an address", i)
		}
	}
	return nil
}

func (r *Rule) validate() error {
	needs := map[Kind]string{ActiveDrop: "percent", IssueRate: "percent", Adoption: "percent", Silence: "hours", NewBurst: "percent"}[r.Kind]
	switch {
	case needs == "":
		return fmt.Errorf("kind %q is not active_drop, issue_rate, adoption, silence or new_burst", r.Kind)
	case needs == "percent" && !(r.Percent >= 1 && r.Percent <= 100_000):
		return errors.New("percent is not 1 to 100000")
	case needs == "hours" && !(r.Hours >= 1 && r.Hours <= 720):
		return errors.New("hours is not 1 to 720")
	case r.Kind == Adoption && (r.Version == "" || r.Percent > 100):
		return errors.New("version is missing, or percent is more than 100")
	case r.Least < 0:
		return errors.New("least is negative")
	}
	return nil
}

// key tells rules apart.
func (r *Rule) key() string {
	return fmt.Sprintf("%s %g %g %s %d", r.Kind, r.Percent, r.Hours, r.Version, r.Least)
}

const (
	settingConfig = "alerts"
	settingState  = "alerts.state"
)

// A Watcher looks at the rules of all apps. Make it with [New]. It is safe for concurrent use.
type Watcher struct {
	c   Collector
	log *slog.Logger

	mu     sync.Mutex
	failed map[collector.AppNum]string // the last error of a target
}

// New makes a watcher; it does nothing before Run. A nil logger discards.
func New(c Collector, log *slog.Logger) *Watcher {
	return &Watcher{c: c, log: cmp.Or(log, slog.New(slog.DiscardHandler)), failed: make(map[collector.AppNum]string)}
}

// Config gives the configuration of an app as JSON.
func (w *Watcher) Config(ctx context.Context, app collector.AppNum) (string, error) {
	config, err := w.config(ctx, app)
	if err != nil {
		return "", err
	}
	data, err := json.MarshalIndent(config, "", "  ")
	return string(data), err
}

func (w *Watcher) config(ctx context.Context, app collector.AppNum) (Config, error) {
	config := Config{Rules: []Rule{}, Webhooks: []Webhook{}}
	data, ok, err := w.c.Setting(ctx, app, settingConfig)
	if err != nil || !ok {
		return config, err
	}
	return config, json.Unmarshal(data, &config)
}

// SetConfig checks a configuration in JSON and stores it. Fields that are not known are an error.
func (w *Watcher) SetConfig(ctx context.Context, app collector.AppNum, text string) error {
	var config Config
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("alerts are not the JSON that they have to be: %w", err)
	}
	if err := config.Validate(); err != nil {
		return err
	}
	var data bytes.Buffer
	if err := json.NewEncoder(&data).Encode(config); err != nil {
		return err
	}
	return w.c.PutSetting(ctx, app, settingConfig, data.Bytes())
}

// A state is what is remembered of an app's rules.
type state struct {
	// Firing are the rules that fire, by their key, with the text and the time that they began.
	Firing map[string]firing `json:"firing"`
	Last   string            `json:"last,omitzero"`
}

type firing struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// Status says in lines what fires, what was sent last, and what failed.
func (w *Watcher) Status(ctx context.Context, app collector.AppNum) ([]string, error) {
	s, err := w.state(ctx, app)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, f := range s.Firing {
		lines = append(lines, fmt.Sprintf("Since %s: %s", f.Since.UTC().Format("2006-01-02 15:04 UTC"), f.Text))
	}
	if s.Last != "" {
		lines = append(lines, s.Last)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed := w.failed[app]; failed != "" {
		lines = append(lines, failed)
	}
	return lines, nil
}

func (w *Watcher) state(ctx context.Context, app collector.AppNum) (state, error) {
	s := state{Firing: make(map[string]firing)}
	data, ok, err := w.c.Setting(ctx, app, settingState)
	if err != nil || !ok {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// Every is how often the rules are looked at.
const Every = 5 * time.Minute

// Run looks at the rules until the context ends.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, app := range w.c.Apps() {
				if err := w.look(ctx, app); err != nil && ctx.Err() == nil {
					w.log.Warn("Alerts cannot be looked at", "app", app.Key, "error", err.Error())
				}
			}
		}
	}
}

// look looks at the rules of one app. What is said is remembered before it is sent: an alert may be lost with the process,
// and is not repeated by each of its starts.
func (w *Watcher) look(ctx context.Context, app collector.App) error {
	config, err := w.config(ctx, app.Num)
	if err != nil || len(config.Rules) == 0 {
		return err
	}
	s, err := w.state(ctx, app.Num)
	if err != nil {
		return err
	}
	now := time.Now()
	var messages []Message
	keep := make(map[string]firing)
	for _, rule := range config.Rules {
		was, fired := s.Firing[rule.key()]
		verdict, err := w.judge(ctx, app, rule, fired)
		if err != nil {
			return fmt.Errorf("%s: %w", rule.Kind, err)
		}
		switch {
		case verdict.firing && !fired:
			keep[rule.key()] = firing{verdict.text, now}
			messages = append(messages, Message{App: app.Key, Kind: rule.Kind, State: "firing", Text: verdict.text, At: now.UTC()})
		case verdict.firing:
			keep[rule.key()] = was
		case fired:
			messages = append(messages, Message{App: app.Key, Kind: rule.Kind, State: "resolved", Text: "Over: " + was.Text, At: now.UTC()})
		}
	}
	if len(messages) == 0 {
		return nil
	}
	s.Firing = keep
	s.Last = fmt.Sprintf("Last sent at %s: %s", now.UTC().Format("2006-01-02 15:04 UTC"), messages[len(messages)-1].Text)
	data, err := json.Marshal(s)
	if err == nil {
		err = w.c.PutSetting(ctx, app.Num, settingState, data)
	}
	if err != nil {
		return err
	}
	for _, m := range messages {
		w.send(ctx, app.Num, config, m)
	}
	return nil
}

// Test sends a message to all targets of an app.
func (w *Watcher) Test(ctx context.Context, app collector.AppNum) error {
	config, err := w.config(ctx, app)
	if err != nil {
		return err
	}
	if len(config.Webhooks) == 0 && config.Email == nil {
		return errors.New("there is no target: add a webhook or email")
	}
	return w.send(ctx, app, config, Message{State: "test", Text: "A test: alerts reach you.", At: time.Now().UTC()})
}
