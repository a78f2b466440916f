package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// A Config configures the alerts of one app.
type Config struct {
	Rules    []Rule    `json:"rules"`    // at most MaxRules
	Webhooks []Webhook `json:"webhooks"` // at most MaxTargets
	Email    *Email    `json:"email,omitempty"`
	// Weekly is the weekday of the report on what changed in the 7 days before, such
	// as "monday"; empty sends none.
	Weekly Weekday `json:"weekly,omitempty"`
}

// A Weekday is the English name of a day of the week, in lower case.
type Weekday string

// Weekdays returns the days of the week, from Monday on.
func Weekdays() []Weekday {
	return []Weekday{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
}

// A Webhook receives each [Message] as JSON in a POST request.
type Webhook struct {
	// URL is http or https, without user information. Only public addresses are
	// connected to, and those in [Options].Allow. Redirects are not followed.
	URL string `json:"url"`
	// Secret, if not empty, signs the body: the header X-Rollcall-Signature is
	// "sha256=" and the hexadecimal HMAC-SHA-256.
	Secret string `json:"secret,omitzero"`
}

// An Email sends each [Message] by mail.
type Email struct {
	// Server is host:port. With TLS set, or on port 465, the connection uses
	// TLS from the start; else it must offer STARTTLS, unless the server is on
	// loopback.
	Server   string   `json:"server"`
	TLS      bool     `json:"tls,omitzero"`
	User     string   `json:"user,omitzero"`
	Password string   `json:"password,omitzero"`
	From     string   `json:"from"`
	To       []string `json:"to"` // 1 to MaxTargets
}

// The limits of a [Config]. MaxTextLen bounds each text in it, in bytes.
const (
	MaxRules   = 20
	MaxTargets = 10
	MaxTextLen = 1000
)

// Kept stands for a stored secret that is not shown. A webhook keeps its secret
// while its URL stays the same, and email its password while Server, TLS, and
// User do. So nobody can have a secret sent elsewhere without knowing it.
const Kept = "(kept)"

// Validate returns an error that names the first invalid field.
func (c *Config) Validate() error {
	switch {
	case len(c.Rules) > MaxRules:
		return fmt.Errorf("rules has %d entries, more than %d", len(c.Rules), MaxRules)
	case len(c.Webhooks) > MaxTargets:
		return fmt.Errorf("webhooks has %d entries, more than %d", len(c.Webhooks), MaxTargets)
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rules[%d].%w", i, err)
		}
		if first := slices.Index(c.Rules, r); first < i {
			return fmt.Errorf("rules[%d] is the same as rules[%d]", i, first)
		}
	}
	for i, w := range c.Webhooks {
		u, err := url.Parse(w.URL)
		switch {
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || len(w.URL) > MaxTextLen:
			return fmt.Errorf("webhooks[%d].url is not an http or https URL without a user and of at most %d bytes", i, MaxTextLen)
		case len(w.Secret) > MaxTextLen:
			return fmt.Errorf("webhooks[%d].secret is longer than %d bytes", i, MaxTextLen)
		case slices.IndexFunc(c.Webhooks, func(o Webhook) bool { return o.URL == w.URL }) < i:
			return fmt.Errorf("webhooks[%d].url is a duplicate", i)
		}
	}
	if c.Weekly != "" && !slices.Contains(Weekdays(), c.Weekly) {
		return fmt.Errorf("weekly is not one of %v", Weekdays())
	}
	if c.Email != nil {
		return c.Email.validate()
	}
	return nil
}

func (e *Email) validate() error {
	host, port, err := net.SplitHostPort(e.Server)
	n, bad := strconv.ParseUint(port, 10, 16)
	invalid := slices.IndexFunc(e.To, func(to string) bool { return !validAddress(to) })
	switch {
	case err != nil || host == "" || bad != nil || n == 0 || len(e.Server) > MaxTextLen:
		return errors.New("email.server is not host:port")
	case !validAddress(e.From):
		return errors.New("email.from is not an address")
	case len(e.To) == 0 || len(e.To) > MaxTargets:
		return fmt.Errorf("email.to does not have 1 to %d addresses", MaxTargets)
	case invalid >= 0:
		return fmt.Errorf("email.to[%d] is not an address", invalid)
	case len(e.User) > MaxTextLen:
		return fmt.Errorf("email.user is longer than %d bytes", MaxTextLen)
	case len(e.Password) > MaxTextLen:
		return fmt.Errorf("email.password is longer than %d bytes", MaxTextLen)
	case e.User == "" && e.Password != "":
		return errors.New("email.user is missing, although there is a password")
	}
	return nil
}

// validAddress accepts ASCII addresses only, because some servers do.
func validAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && len(text) <= MaxTextLen && !strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r > '~' })
}

// clone returns a copy that shares no secrets with c.
func (c Config) clone() Config {
	c.Webhooks = slices.Clone(c.Webhooks)
	if c.Email != nil {
		e := *c.Email
		c.Email = &e
	}
	return c
}

// masked returns a copy with Kept in place of secrets.
func (c Config) masked() Config {
	c = c.clone()
	for i := range c.Webhooks {
		if c.Webhooks[i].Secret != "" {
			c.Webhooks[i].Secret = Kept
		}
	}
	if c.Email != nil && c.Email.Password != "" {
		c.Email.Password = Kept
	}
	return c
}

// restoreSecrets replaces Kept with the stored secrets.
func (c *Config) restoreSecrets(stored Config) error {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if w.Secret != Kept {
			continue
		}
		old := slices.IndexFunc(stored.Webhooks, func(o Webhook) bool { return o.URL == w.URL })
		if old < 0 || stored.Webhooks[old].Secret == "" {
			return fmt.Errorf("webhooks[%d].secret is required: none is stored for this URL", i)
		}
		w.Secret = stored.Webhooks[old].Secret
	}
	if e, old := c.Email, stored.Email; e != nil && e.Password == Kept {
		if old == nil || old.Password == "" || old.Server != e.Server || old.TLS != e.TLS || old.User != e.User {
			return errors.New("email.password is required: none is stored for this server and user")
		}
		e.Password = old.Password
	}
	return nil
}

// A Kind is the kind of condition of a rule.
type Kind string

// The kinds of rules.
const (
	// ActiveDrop fires when the established installations active on the last
	// complete day are Percent fewer than the average of the same weekday in
	// the four weeks before, if that average is Least or more.
	ActiveDrop Kind = "active_drop"
	// FaultRate fires for each fault that, in the last 7 days, affects Percent
	// more of the installations of the newest release than of the release
	// before, and more of them than chance explains. It ignores development
	// versions and versions that fewer than Least installations run.
	FaultRate Kind = "fault_rate"
	// Adoption fires when Percent of the installations active in 28 days run
	// Version or a newer one.
	Adoption Kind = "adoption"
	// Silence fires when no report was counted for Hours while the collector
	// was running, although installations were active in the 7 days before.
	Silence Kind = "silence"
	// NewBurst fires when the installations that are new today are Percent more
	// than the average of the 14 days before, and Least or more.
	NewBurst Kind = "new_burst"

	// oldFaultRate is the name of FaultRate in older stores.
	oldFaultRate = "issue_rate"
)

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the old name
// of FaultRate.
func (k *Kind) UnmarshalText(text []byte) error {
	if *k = Kind(text); *k == oldFaultRate {
		*k = FaultRate
	}
	return nil
}

// Kinds returns all kinds of rules.
func Kinds() []Kind { return sortedKeys(kinds) }

// kinds are the kinds of rules, each with its fields and what evaluates it.
var kinds = map[Kind]struct {
	fields     []string
	maxPercent float64
	evaluate   func(evaluator, context.Context) (findings, bool, error)
}{
	ActiveDrop: {[]string{"percent", "least"}, 100, evaluator.activeDrop},
	FaultRate:  {[]string{"percent", "least"}, MaxPercent, evaluator.faultRate},
	Adoption:   {[]string{"percent", "version"}, 100, evaluator.adoption},
	Silence:    {[]string{"hours"}, 0, evaluator.silence},
	NewBurst:   {[]string{"percent", "least"}, MaxPercent, evaluator.newBurst},
}

// The limits of the fields of a [Rule].
const (
	MaxPercent = 100_000
	MaxHours   = 720
	MaxLeast   = 1_000_000_000
)

// A Rule is a condition. Each kind of rule has some of the fields.
type Rule struct {
	Kind    Kind    `json:"kind"`
	Percent float64 `json:"percent,omitzero"` // 1 to MaxPercent; for ActiveDrop and Adoption to 100
	Hours   float64 `json:"hours,omitzero"`   // 1 to MaxHours
	Version string  `json:"version,omitzero"` // normalized by report.NormalizeVersion
	Least   int     `json:"least,omitzero"`   // 1 to MaxLeast; 0 is DefaultLeast
}

// DefaultLeast is the value of Rule.Least if that is 0. Smaller groups change a
// lot by chance.
const DefaultLeast = 30

func (r *Rule) least() uint64 { return uint64(cmp.Or(r.Least, DefaultLeast)) }

// Key identifies the rule among those of its app.
func (r *Rule) Key() string {
	return fmt.Sprintf("%s %g %g %s %d", r.Kind, r.Percent, r.Hours, r.Version, r.Least)
}

func (r *Rule) validate() error {
	k, ok := kinds[r.Kind]
	if !ok {
		return fmt.Errorf("kind is not one of %v", Kinds())
	}
	has := func(field string) bool { return slices.Contains(k.fields, field) }
	for _, field := range []struct {
		name string
		set  bool
	}{{"percent", r.Percent != 0}, {"hours", r.Hours != 0}, {"version", r.Version != ""}, {"least", r.Least != 0}} {
		if field.set && !has(field.name) {
			return fmt.Errorf("%s is not a field of %s", field.name, r.Kind)
		}
	}
	switch {
	case has("percent") && !(r.Percent >= 1 && r.Percent <= k.maxPercent):
		return fmt.Errorf("percent is not 1 to %.0f", k.maxPercent)
	case has("hours") && !(r.Hours >= 1 && r.Hours <= MaxHours):
		return fmt.Errorf("hours is not 1 to %d", MaxHours)
	case has("version") && (r.Version == "" || report.NormalizeVersion(r.Version) != r.Version):
		return errors.New("version is not a version")
	case has("least") && (r.Least < 0 || r.Least > MaxLeast):
		return fmt.Errorf("least is not 0 to %d", MaxLeast)
	}
	return nil
}
