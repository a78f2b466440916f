package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/mail"
	"net/smtp"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/loopback"
)

var errNoTLS = errors.New("the server does not offer TLS")

// send delivers a message in one mail to all recipients.
func (e *Email) send(ctx context.Context, d dialer, roots *x509.CertPool, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, SendTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(e.Server)
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx, "tcp", e.Server)
	if err != nil {
		return &unreachableError{err}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // interrupts reads and writes
	defer stop()
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: roots}
	secure := e.TLS || port == "465"
	stream := conn
	if secure {
		stream = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(stream, host)
	if err != nil {
		return &unreachableError{err}
	}
	defer c.Close()
	if ok, _ := c.Extension("STARTTLS"); ok && !secure {
		if err := c.StartTLS(config); err != nil {
			return err
		}
		secure = true
	}
	if !secure && !loopback.IsAddr(conn.RemoteAddr()) {
		return errNoTLS
	}
	if e.User != "" {
		if err := c.Auth(smtp.PlainAuth("", e.User, e.Password, host)); err != nil {
			return err
		}
	}
	return e.write(c, m)
}

func (e *Email) write(c *smtp.Client, m Message) error {
	from, err := mail.ParseAddress(e.From)
	if err != nil {
		return err
	}
	if err := c.Mail(from.Address); err != nil {
		return err
	}
	var to []string
	for _, text := range e.To {
		address, err := mail.ParseAddress(text)
		if err != nil {
			return err
		}
		to = append(to, address.String())
		if err := c.Rcpt(address.Address); err != nil {
			return err
		}
	}
	out, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := out.Write(mailOf(from, to, m)); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	c.Quit() // the server has accepted the mail, whatever it answers now
	return nil
}

// mailOf returns the mail. Texts from clients are in the body, in base64, and in
// the subject, as an encoded word if necessary, so none of them can add a header.
func mailOf(from *mail.Address, to []string, m Message) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(from.Address, "@")
	for _, header := range [][2]string{
		{"From", from.String()},
		{"To", strings.Join(to, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", fmt.Sprintf("[Rollcall] %s: %s", m.App, subject(m)))},
		{"Date", m.At.Format(time.RFC1123Z)},
		{"Message-ID", fmt.Sprintf("<%s.%s@%s>", m.ID, m.State, domain)},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "base64"},
	} {
		b.WriteString(header[0] + ": " + header[1] + "\r\n")
	}
	b.WriteString("\r\n")
	body := fmt.Appendf(nil, "%s\n\n%s of %s, %s\n", m.Text, subject(m), m.App, m.At.Format(time.RFC3339))
	for line := range slices.Chunk(base64.StdEncoding.AppendEncode(nil, body), maxLine) {
		b.Write(append(line, "\r\n"...))
	}
	return b.Bytes()
}

// maxLine bounds a line of base64 in a mail (RFC 2045).
const maxLine = 76

func subject(m Message) string {
	if m.State == Weekly {
		return "what changed in the week to " + m.To.Time().Format("2 January")
	}
	if m.Kind == "" {
		return string(m.State)
	}
	return strings.ReplaceAll(string(m.Kind), "_", " ") + " " + string(m.State)
}
