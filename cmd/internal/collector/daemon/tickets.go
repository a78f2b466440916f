package daemon

import (
	"crypto/tls"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// Tickets let clients resume a TLS session, without a signature of the server
// and a check of its certificate, also at another replica and after a restart.
// An installation reports once a day, so nearly every report is a new connection.
//
// Only sessions of TLS 1.3 are resumed: there, whoever learns the secret later
// cannot decrypt what was recorded.
type tickets struct {
	base   *tls.Config
	secret atomic.Pointer[secret.Secret] // nil until the data is open
	today  atomic.Pointer[dayConfig]
}

type dayConfig struct {
	day    collector.Day
	resume *tls.Config
	refuse *tls.Config // for older versions of TLS
}

// withTickets returns a config that issues and accepts tickets, as soon as the
// secret is known.
func withTickets(base *tls.Config) (*tls.Config, *tickets) {
	// An http.Server completes only the config that it is given.
	for _, protocol := range []string{"h2", "http/1.1"} {
		if !slices.Contains(base.NextProtos, protocol) {
			base.NextProtos = append(base.NextProtos, protocol)
		}
	}
	t := &tickets{base: base}
	config := base.Clone()
	config.SessionTicketsDisabled = true
	config.GetConfigForClient = t.configFor
	return config, t
}

// configFor implements [tls.Config.GetConfigForClient].
func (t *tickets) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := t.secret.Load()
	if s == nil {
		return nil, nil
	}
	today := t.today.Load()
	if day := collector.DayOf(time.Now()); today == nil || today.day != day {
		today = &dayConfig{day: day, resume: t.base.Clone(), refuse: t.base.Clone()}
		today.resume.SetSessionTicketKeys(s.TicketKeys(day))
		today.refuse.SessionTicketsDisabled = true
		t.today.Store(today)
	}
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return today.resume, nil
	}
	return today.refuse, nil
}
