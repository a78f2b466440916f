package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/collector"
)

// A Message is what a webhook gets as JSON, and what stands in an e-mail.
type Message struct {
	App   string    `json:"app"`
	Kind  Kind      `json:"kind"`
	State string    `json:"state"` // firing, resolved or test
	Text  string    `json:"text"`
	At    time.Time `json:"at"`
}

const (
	sendTimeout = 15 * time.Second
	attempts    = 3
	retryAfter  = 5 * time.Second
	maxAnswer   = 4 << 10
)

// client follows no redirect: the address is the maintainer's choice, and where it points is not.
var client = &http.Client{
	Timeout:       sendTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends a message to all targets. The error is that of the last one that failed.
func (w *Watcher) send(ctx context.Context, app collector.AppNum, config Config, m Message) error {
	var failed error
	try := func(what string, deliver func(context.Context) error) {
		var err error
		for i := range attempts {
			if err = deliver(ctx); err == nil || ctx.Err() != nil || m.State == "test" || i == attempts-1 {
				break
			}
			select {
			case <-time.After(retryAfter << i):
			case <-ctx.Done():
			}
		}
		if err != nil {
			failed = fmt.Errorf("%s: %w", what, err)
			w.log.Warn("Alert was not delivered", "target", what, "error", err.Error())
		}
	}
	for i, hook := range config.Webhooks {
		try(fmt.Sprintf("webhook %d", i+1), func(ctx context.Context) error { return hook.post(ctx, m) })
	}
	if config.Email != nil {
		try("e-mail", func(ctx context.Context) error { return config.Email.send(ctx, m) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed[app] = ""
	if failed != nil {
		w.failed[app] = fmt.Sprintf("Not delivered at %s: %v", time.Now().UTC().Format("2006-01-02 15:04 UTC"), failed)
	}
	return failed
}

func (h Webhook) post(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	if h.Secret != "" {
		mac := hmac.New(sha256.New, []byte(h.Secret))
		mac.Write(body)
		r.Header.Set("X-Rollcall-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := client.Do(r)
	if err != nil {
		return errors.New("no answer") // the error has the address in it, which may hold a secret
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}

// send sends one mail to all addresses.
func (e *Email) send(ctx context.Context, m Message) error {
	host, port, err := net.SplitHostPort(e.Server)
	if err != nil {
		return errors.New("server is not host:port")
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.Server)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	secure := port == "465"
	if secure {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if ok, _ := c.Extension("STARTTLS"); ok && !secure {
		if err := c.StartTLS(config); err != nil {
			return err
		}
		secure = true
	}
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); !secure && (!ok || !addr.IP.IsLoopback()) {
		return errors.New("the server offers no TLS")
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
	if _, err := out.Write(e.message(from, to, m)); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// message gives the mail. What clients sent is in the body, in base64, and in the subject as an encoded word, so none of it
// can be a header.
func (e *Email) message(from *mail.Address, to []string, m Message) []byte {
	var b bytes.Buffer
	subject := fmt.Sprintf("[Rollcall] %s: %s", m.App, m.State)
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\n", from.String(), strings.Join(to, ", "),
		mime.QEncoding.Encode("utf-8", subject), m.At.Format(time.RFC1123Z))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n")
	text := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s\n\n%s, %s\n", m.Text, m.Kind, m.At.Format(time.RFC3339)))
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return b.Bytes()
}
