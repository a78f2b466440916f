package page_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// slowSite returns the page of a service whose host takes that long for every
// operation.
func slowSite(t *testing.T, takes time.Duration, started bool) *site {
	t.Helper()
	wait := func(ctx context.Context) error {
		time.Sleep(takes) // like a disk, not interruptible
		return ctx.Err()
	}
	memory := new(rollcalltest.Memory)
	memory.Set(knownID)
	c := rollcall.Config{
		App:  "example",
		Lazy: true,
		ID: rollcall.IDConfig{
			Load: func(ctx context.Context) (string, error) { return knownID, wait(ctx) },
			Save: func(ctx context.Context, id string) error { return errors.Join(wait(ctx), memory.Save(ctx, id)) },
		},
		Consent: rollcall.ConsentConfig{
			PolicyPath: faultfs.Abs("/nowhere/policy.json"),
			Load: func(ctx context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}, wait(ctx)
			},
		},
	}
	service, err := rollcall.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if started {
		service.Start(t.Context())
		t.Cleanup(func() { service.Stop(context.Background()) })
	}
	return &site{Handler: page.Handler(service, page.Options{Rights: page.BehindLogin}), t: t, service: service}
}

// While the storage hangs, the page comes within its bound and shows what it
// knows.
func TestHungStorage(t *testing.T) {
	for _, started := range []bool{true, false} {
		t.Run(fmt.Sprintf("started %t", started), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := slowSite(t, time.Hour, started)
				for range 3 {
					time.Sleep(5 * time.Second)
					begin := time.Now()
					w := get(s, "/")
					if d := time.Since(begin); d > 4*time.Second {
						t.Errorf("took %v, want 3 seconds and a moment", d)
					}
					if w.Code != http.StatusOK {
						t.Errorf("got %d, want 200", w.Code)
					}
					wantText(t, w.Body.String(), "Nothing is sent", "The storage does not respond.")
					if started {
						wantText(t, w.Body.String(), "In memory, for now.", s.service.ID().String(), "has not ended: load from the host&#39;s settings")
					} else {
						wantText(t, w.Body.String(), "There is no preview:", "did not respond within 3 seconds")
					}
				}
				begin := time.Now()
				w := do(s, http.MethodPost, "/reset", map[string][]string{"id": {s.service.ID().Short()}})
				if d := time.Since(begin); d > 11*time.Second || w.Code != http.StatusSeeOther {
					t.Errorf("reset: got %d after %v, want 303 within 10 seconds and a moment", w.Code, d)
				}
				time.Sleep(2 * time.Hour) // until everything has ended
			})
		})
	}
}

// A server's own deadlines do not cut off an action that takes longer.
func TestSlowActionInAQuickServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, 8*time.Second, true)
		time.Sleep(time.Minute)
		conn := serve(t, &http.Server{Handler: s, ReadTimeout: time.Second, WriteTimeout: time.Second})
		form := "id=" + s.service.ID().Short()
		fmt.Fprintf(conn, "POST /reset HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := response.Header.Get("Location"), "./?outcome=reset"; got != want {
			t.Errorf("got %d to %q, want %q", response.StatusCode, got, want)
		}
		if got := s.service.ID().String(); got == knownID {
			t.Error("the ID is the old one")
		}
	})
}

// An action completes even if the browser goes away.
func TestBrowserGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, 2*time.Second, true)
		time.Sleep(time.Minute)
		do(s, http.MethodPost, "/reset", map[string][]string{"id": {s.service.ID().Short()}}, func(r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		})
		if got := s.service.ID().String(); got == knownID {
			t.Error("the ID is the old one")
		}
	})
}

// The page does not wait for an endless form, whatever the server's limits.
func TestSlowForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, &http.Server{Handler: page.Handler(nil, page.Options{Rights: page.BehindLogin})})
		begin := time.Now()
		io.WriteString(conn, "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nslow")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 6*time.Second || response.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d after %v, want 400 within 5 seconds and a moment", response.StatusCode, d)
		}
	})
}

// serve runs a server inside a bubble and returns a connection to it.
func serve(t *testing.T, server *http.Server) net.Conn {
	t.Helper()
	mine, its := net.Pipe()
	listener := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.conns <- its
	go server.Serve(listener)
	t.Cleanup(func() {
		mine.Close()
		server.Close()
		synctest.Wait()
	})
	return mine
}

// oneConn is a listener with one connection.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
