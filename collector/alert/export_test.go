package alert

import (
	"crypto/x509"
	"net/http"
	"net/mail"
)

// SetTransport sets what webhooks are delivered by.
func (w *Watcher) SetTransport(t http.RoundTripper) { w.send.client.Transport = t }

// SetRoots sets the authorities that mail servers are checked against.
func (w *Watcher) SetRoots(pool *x509.CertPool) { w.send.roots = pool }

// MailOf gives a mail.
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
