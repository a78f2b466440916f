package alert_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

// A mailServer accepts mail as a relay for signed-in users does.
type mailServer struct {
	net.Listener
	config *tls.Config
	direct bool // TLS from the start
	offers bool // STARTTLS
	mute   bool // never answers
	refuse string
	mails  chan received
}

// received is a mail and how it arrived.
type received struct {
	secure   bool
	auth     string
	from     string
	to       []string
	data     string
	commands []string
}

func serveMail(t *testing.T, address string, set func(*mailServer)) (*mailServer, *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{Listener: l, config: &tls.Config{Certificates: web.TLS.Certificates}, mails: make(chan received, 1)}
	set(s)
	if s.direct {
		s.Listener = tls.NewListener(l, s.config)
	}
	t.Cleanup(func() { s.Close() })
	go func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return s, pool
}

func (s *mailServer) talk(conn net.Conn) {
	defer func() { conn.Close() }()
	if s.mute {
		io.Copy(io.Discard, conn)
		return
	}
	m := received{secure: s.direct}
	in := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprint(conn, text+"\r\n") }
	say("220 mail.test ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		m.commands = append(m.commands, line)
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case s.refuse != "" && strings.HasPrefix(line, s.refuse):
			say("550 no\twith \x1b[31mcolour, and very " + strings.Repeat("long ", 100))
		case verb == "EHLO":
			if s.offers && !m.secure {
				say("250-mail.test")
				say("250 STARTTLS")
			} else {
				say("250-mail.test")
				say("250 AUTH PLAIN")
			}
		case verb == "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.config)
			in, m.secure = bufio.NewReader(conn), true
		case verb == "AUTH":
			m.auth = strings.TrimPrefix(rest, "PLAIN ")
			say("235 welcome")
		case verb == "MAIL":
			m.from = rest
			say("250 ok")
		case verb == "RCPT":
			m.to = append(m.to, rest)
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(line)
			}
			m.data = data.String()
			say("250 ok")
			s.mails <- m
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

func mailing(t *testing.T, server, more string, pool *x509.CertPool) *alert.Watcher {
	t.Helper()
	w := alert.New(newFake(), local)
	w.SetRoots(pool)
	config := fmt.Sprintf(`{"email":{"server":%q,"from":"\"Röllcall, the\" <from@test.example>","to":["to@test.example","Two <two@test.example>"]%s}}`, server, more)
	if err := w.SetJSON(t.Context(), 1, config); err != nil {
		t.Fatal(err)
	}
	return w
}

// Mail uses TLS from the start or STARTTLS, or neither with a server on loopback.
func TestEmail(t *testing.T) {
	for name, tt := range map[string]struct {
		set    func(*mailServer)
		more   string
		secure bool
		auth   string
	}{
		"plain":     {func(*mailServer) {}, ``, false, ""},
		"STARTTLS":  {func(s *mailServer) { s.offers = true }, `,"user":"u","password":"p"`, true, "\x00u\x00p"},
		"TLS":       {func(s *mailServer) { s.direct = true }, `,"tls":true,"user":"u","password":"p"`, true, "\x00u\x00p"},
		"signed in": {func(*mailServer) {}, `,"user":"u","password":"p"`, false, "\x00u\x00p"},
	} {
		t.Run(name, func(t *testing.T) {
			s, pool := serveMail(t, "127.0.0.1:0", tt.set)
			if err := mailing(t, s.Addr().String(), tt.more, pool).Test(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			got := <-s.mails
			auth, err := base64.StdEncoding.DecodeString(got.auth)
			if err != nil || string(auth) != tt.auth || got.secure != tt.secure {
				t.Errorf("got auth %q, secure %t, want %q, %t", auth, got.secure, tt.auth, tt.secure)
			}
			if got.from != "FROM:<from@test.example>" || strings.Join(got.to, " ") != "TO:<to@test.example> TO:<two@test.example>" {
				t.Errorf("got envelope %q, %q", got.from, got.to)
			}
			checkMail(t, got.data, "test", "This is a test alert.\n\ntest of app, ")
		})
	}
}

// checkMail checks that a mail has the expected headers, no others, and the text.
func checkMail(t *testing.T, data, subject, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	for line := range strings.Lines(data) {
		if len(line) > 998 || !strings.HasSuffix(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("got line %q", line)
		}
	}
	want := map[string]string{
		"From": "=?utf-8?b?UsO2bGxjYWxsLCB0aGU=?= <from@test.example>", "To": `<to@test.example>, "Two" <two@test.example>`,
		"Subject": "[Rollcall] app: " + subject, "Mime-Version": "1.0", "Content-Type": "text/plain; charset=utf-8",
		"Content-Transfer-Encoding": "base64", "Auto-Submitted": "auto-generated", "Date": "", "Message-Id": "",
	}
	for name := range m.Header {
		value, ok := want[name]
		if got := m.Header.Get(name); !ok || value != "" && got != value {
			t.Errorf("got %s %q, want %q", name, got, value)
		}
	}
	if len(m.Header) != len(want) {
		t.Errorf("got headers %v", m.Header)
	}
	if at, err := m.Header.Date(); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("got date %v, %v", at, err)
	}
	if id := m.Header.Get("Message-Id"); !strings.HasSuffix(id, "@test.example>") {
		t.Errorf("got ID %q", id)
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
	if err != nil || !strings.HasPrefix(string(body), text) {
		t.Errorf("got body %q, %v", body, err)
	}
}

// No text adds a header or a command.
func TestNoInjection(t *testing.T) {
	hostile := "x\r\nBcc: <evil@test.example>\r\n\r\n.\r\nMAIL FROM:<evil@test.example>\r\n" + strings.Repeat("long ", 500)
	data := alert.MailOf("\"Röllcall, the\" <from@test.example>", []string{"to@test.example", "Two <two@test.example>"},
		alert.Message{ID: "1", App: "app", Kind: alert.NewBurst, State: alert.Firing, Text: hostile, At: time.Now().UTC()})
	checkMail(t, data, "new burst firing", hostile)
}

// Errors are one short line. Nothing is sent without TLS, or to a server with
// the wrong certificate.
func TestEmailFails(t *testing.T) {
	refusing, pool := serveMail(t, "127.0.0.1:0", func(s *mailServer) { s.refuse = "RCPT TO:<two" })
	err := mailing(t, refusing.Addr().String(), "", pool).Test(t.Context(), 1)
	if err == nil || !strings.HasPrefix(err.Error(), "email: 550 ") || strings.ContainsAny(err.Error(), "\x1b\t\n") || len(err.Error()) > 300 {
		t.Errorf("refused: got %q", err)
	}
	stranger, _ := serveMail(t, "127.0.0.1:0", func(s *mailServer) { s.offers = true })
	if err := mailing(t, stranger.Addr().String(), "", x509.NewCertPool()).Test(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger: got %v", err)
	}
	mute, pool := serveMail(t, "127.0.0.1:0", func(s *mailServer) { s.mute = true })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := mailing(t, mute.Addr().String(), "", pool).Test(ctx, 1); err == nil || time.Since(start) >= alert.SendTimeout {
		t.Errorf("a mute server: got %v after %s", err, time.Since(start))
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			open, pool := serveMail(t, net.JoinHostPort(n.IP.String(), "0"), func(*mailServer) {})
			err := mailing(t, open.Addr().String(), `,"user":"u","password":"p"`, pool).Test(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), "not offer TLS") {
				t.Errorf("a server without TLS: got %v", err)
			}
			return
		}
	}
	t.Log("no address besides loopback: cannot test a remote server without TLS")
}
