package alert

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Config configures the alerts of one app.
type Config struct {
	Rules    []Rule    `json:"rules"`    // at most MaxRules
	Webhooks []Webhook `json:"webhooks"` // at most MaxTargets
	Email    *Email    `json:"email,omitempty"`
}

// A Webhook receives each [Message] as JSON in a POST request.
type Webhook struct {
	// URL is http or https, without user information. Private addresses are
	// allowed, since the maintainer chooses the URL, but link-local addresses,
	// where cloud machines find their credentials, are refused. Redirects are
	// not followed.
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
	if c.Email != nil {
		return c.Email.validate()
	}
	return nil
}

func (e *Email) validate() error {
	host, port, err := net.SplitHostPort(e.Server)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 || len(e.Server) > MaxTextLen {
		return errors.New("email.server is not host:port")
	}
	if !validAddress(e.From) {
		return errors.New("email.from is not an address")
	}
	if len(e.To) == 0 || len(e.To) > MaxTargets {
		return fmt.Errorf("email.to does not have 1 to %d addresses", MaxTargets)
	}
	for i, to := range e.To {
		if !validAddress(to) {
			return fmt.Errorf("email.to[%d] is not an address", i)
		}
	}
	switch {
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
