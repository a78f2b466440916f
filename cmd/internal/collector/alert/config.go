package alert

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// A Config is the alerts of one app.
type Config struct {
	Rules    []Rule    `json:"rules"`    // at most MaxRules
	Webhooks []Webhook `json:"webhooks"` // at most MaxTargets
	Email    *Email    `json:"email,omitempty"`
}

// A Kind says what a rule looks for.
type Kind string

// The kinds of rules.
const (
	// ActiveDrop fires when the established installations active on the last whole day are Percent fewer than the mean of
	// the same weekday in the four weeks before, if that mean is Least or more.
	ActiveDrop Kind = "active_drop"
	// FaultRate fires for each fault that affects Percent more of the installations of the newest release than of the
	// release before, in the last 7 days, and more of them than chance explains. Versions that fewer than Least
	// installations run are no releases here, and neither are development versions.
	FaultRate Kind = "fault_rate"
	// Adoption fires when Percent of the installations active in 28 days run Version or a newer one.
	Adoption Kind = "adoption"
	// Silence fires when no report was counted for Hours while the collector ran, although installations were active in the
	// 7 days before.
	Silence Kind = "silence"
	// NewBurst fires when the installations that are new today are Percent more than the mean of the 14 days before, and
	// Least or more.
	NewBurst Kind = "new_burst"
)

// Kinds are all kinds of rules.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// kinds says which fields a kind of rule has.
var kinds = map[Kind]struct {
	fields     []string
	maxPercent float64
}{
	ActiveDrop: {[]string{"percent", "least"}, 100},
	FaultRate:  {[]string{"percent", "least"}, MaxPercent},
	Adoption:   {[]string{"percent", "version"}, 100},
	Silence:    {[]string{"hours"}, 0},
	NewBurst:   {[]string{"percent", "least"}, MaxPercent},
}

// The limits of the fields of a [Rule].
const (
	MaxPercent = 100_000
	MaxHours   = 720
	MaxLeast   = 1_000_000_000
)

// A Rule is one condition. Its kind says which fields it has.
type Rule struct {
	Kind    Kind    `json:"kind"`
	Percent float64 `json:"percent,omitzero"` // 1 to MaxPercent; of ActiveDrop and Adoption to 100
	Hours   float64 `json:"hours,omitzero"`   // 1 to MaxHours
	Version string  `json:"version,omitzero"` // as report.NormalizeVersion gives it
	Least   int     `json:"least,omitzero"`   // 1 to MaxLeast; 0 is DefaultLeast
}

// DefaultLeast is Rule.Least when that is 0: smaller groups change a lot by chance.
const DefaultLeast = 30

func (r *Rule) least() uint64 { return uint64(cmp.Or(r.Least, DefaultLeast)) }

// Key tells the rules of an app apart.
func (r *Rule) Key() string {
	return fmt.Sprintf("%s %g %g %s %d", r.Kind, r.Percent, r.Hours, r.Version, r.Least)
}

// A Webhook gets a POST with a [Message] in JSON.
type Webhook struct {
	// URL is http or https, without a user. It is the maintainer's own choice, so it may be inside a network; link-local
	// addresses, where machines of clouds have their secrets, are refused. Redirects are not followed.
	URL string `json:"url"`
	// Secret, if not empty, signs the body: the header X-Rollcall-Signature is "sha256=" and the HMAC in hexadecimal.
	Secret string `json:"secret,omitzero"`
}

// An Email is where mail is sent, and through which server.
type Email struct {
	// Server is host:port. TLS is used from the beginning with TLS set or on port 465, and by STARTTLS elsewhere; without
	// it nothing is sent but to a server on loopback.
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

// Kept stands for a secret that is stored and not shown. A webhook's is kept while its URL stays, and the password of mail
// while server, TLS and user do: so nobody can have a secret sent elsewhere without knowing it.
const Kept = "(kept)"

// Validate tells what is wrong, naming the field.
func (c *Config) Validate() error {
	switch {
	case len(c.Rules) > MaxRules:
		return fmt.Errorf("rules has %d entries, and not at most %d", len(c.Rules), MaxRules)
	case len(c.Webhooks) > MaxTargets:
		return fmt.Errorf("webhooks has %d entries, and not at most %d", len(c.Webhooks), MaxTargets)
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rules[%d].%w", i, err)
		}
		if slices.Index(c.Rules, r) < i {
			return fmt.Errorf("rules[%d] is the same as rules[%d]", i, slices.Index(c.Rules, r))
		}
	}
	for i, w := range c.Webhooks {
		u, err := url.Parse(w.URL)
		switch {
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || len(w.URL) > MaxTextLen:
			return fmt.Errorf("webhooks[%d].url is not an http or https address without a user, of at most %d bytes", i, MaxTextLen)
		case len(w.Secret) > MaxTextLen:
			return fmt.Errorf("webhooks[%d].secret is longer than %d bytes", i, MaxTextLen)
		case slices.IndexFunc(c.Webhooks, func(o Webhook) bool { return o.URL == w.URL }) < i:
			return fmt.Errorf("webhooks[%d].url is there twice", i)
		}
	}
	if c.Email != nil {
		return c.Email.validate()
	}
	return nil
}

func (r *Rule) validate() error {
	k, ok := kinds[r.Kind]
	if !ok {
		return errors.New("kind is not active_drop, fault_rate, adoption, silence or new_burst")
	}
	for _, field := range []struct {
		name string
		set  bool
	}{{"percent", r.Percent != 0}, {"hours", r.Hours != 0}, {"version", r.Version != ""}, {"least", r.Least != 0}} {
		if field.set && !slices.Contains(k.fields, field.name) {
			return fmt.Errorf("%s is not for %s", field.name, r.Kind)
		}
	}
	has := func(field string) bool { return slices.Contains(k.fields, field) }
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

func (e *Email) validate() error {
	host, port, err := net.SplitHostPort(e.Server)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 || len(e.Server) > MaxTextLen {
		return errors.New("email.server is not host:port")
	}
	if err := validAddress(e.From); err != nil {
		return fmt.Errorf("email.from %w", err)
	}
	if len(e.To) == 0 || len(e.To) > MaxTargets {
		return fmt.Errorf("email.to has not 1 to %d addresses", MaxTargets)
	}
	for i, to := range e.To {
		if err := validAddress(to); err != nil {
			return fmt.Errorf("email.to[%d] %w", i, err)
		}
	}
	switch {
	case len(e.User) > MaxTextLen:
		return fmt.Errorf("email.user is longer than %d bytes", MaxTextLen)
	case len(e.Password) > MaxTextLen:
		return fmt.Errorf("email.password is longer than %d bytes", MaxTextLen)
	case e.User == "" && e.Password != "":
		return errors.New("email.user is missing, and there is a password")
	}
	return nil
}

// validAddress takes addresses of ASCII: not every server takes others.
func validAddress(text string) error {
	a, err := mail.ParseAddress(text)
	if err != nil || len(text) > MaxTextLen || strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("is not an address")
	}
	return nil
}

// copied gives a configuration that shares nothing with c that is changed here.
func (c Config) copied() Config {
	c.Webhooks = slices.Clone(c.Webhooks)
	if c.Email != nil {
		e := *c.Email
		c.Email = &e
	}
	return c
}

// masked gives the configuration without its secrets.
func (c Config) masked() Config {
	c = c.copied()
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

// keep takes the secrets that are kept from what is stored.
func (c *Config) keep(stored Config) error {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if w.Secret != Kept {
			continue
		}
		old := slices.IndexFunc(stored.Webhooks, func(o Webhook) bool { return o.URL == w.URL })
		if old < 0 || stored.Webhooks[old].Secret == "" {
			return fmt.Errorf("webhooks[%d].secret has to be given: none is stored for this url", i)
		}
		w.Secret = stored.Webhooks[old].Secret
	}
	if e, old := c.Email, stored.Email; e != nil && e.Password == Kept {
		if old == nil || old.Password == "" || old.Server != e.Server || old.TLS != e.TLS || old.User != e.User {
			return errors.New("email.password has to be given: none is stored for this server and user")
		}
		e.Password = old.Password
	}
	return nil
}
