package alert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/mail"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// SetTransport replaces the transport of webhooks.
func (w *Watcher) SetTransport(t http.RoundTripper) { w.send.client.Transport = t }

// IsPublic is isPublic.
var IsPublic = isPublic

// SetRoots sets the authorities that mail servers are verified against.
func (w *Watcher) SetRoots(pool *x509.CertPool) { w.send.roots = pool }

// SetConfig replaces a configuration.
func (w *Watcher) SetConfig(ctx context.Context, app collector.AppNum, config Config) error {
	return w.Change(ctx, app, func(c *Config) error { *c = config; return nil })
}

// SetJSON is SetConfig with the JSON of a configuration.
func (w *Watcher) SetJSON(ctx context.Context, app collector.AppNum, text string) error {
	var config Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	return w.SetConfig(ctx, app, config)
}

// MailOf returns a mail.
func MailOf(from string, to []string, m Message) string {
	address, err := mail.ParseAddress(from)
	if err != nil {
		panic(err)
	}
	var list []string
	for _, text := range to {
		a, err := mail.ParseAddress(text)
		if err != nil {
			panic(err)
		}
		list = append(list, a.String())
	}
	return string(mailOf(address, list, m))
}
