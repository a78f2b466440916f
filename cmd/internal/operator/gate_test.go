package operator_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/page"
)

const (
	token      = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	otherToken = "ZYXWVUTSRQPONMLKJIHGFEDCBA"
)

// A source has a token that the test changes.
type source struct {
	mu    sync.Mutex
	token string
	err   error
	hangs bool
	reads int
}

func (s *source) CreateToken(ctx context.Context) (rollcall.Operator, error) {
	s.mu.Lock()
	s.reads++
	hangs, token, err := s.hangs, s.token, s.err
	s.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return rollcall.Operator{Owner: -1}, ctx.Err()
	case err != nil:
		return rollcall.Operator{Owner: -1}, err
	}
	return rollcall.Operator{Token: token, TokenPath: "/srv/token", Owner: -1}, nil
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// with is a request from another machine with a token.
func with(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.RemoteAddr = "192.0.2.1:1"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func wantRights(t *testing.T, g *operator.Gate, r *http.Request, want page.Rights) {
	t.Helper()
	if got := g.Rights(r); got != want {
		t.Errorf("got rights %d, want %d", got, want)
	}
}

// TestTokenChanges: a token that somebody deleted or replaced proves nothing
// after a minute.
func TestTokenChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{token: token}
		g := operator.New(s)
		if s.reads != 0 {
			t.Error("New read the token")
		}
		wantRights(t, g, with(token), page.MayChange)
		wantRights(t, g, with(otherToken), page.ReadOnly)
		s.set(func(s *source) { s.token = otherToken })
		time.Sleep(5 * time.Second)
		wantRights(t, g, with(token), page.MayChange) // as last read
		wantRights(t, g, with(otherToken), page.MayChange)
		wantRights(t, g, with(token), page.ReadOnly)

		s.set(func(s *source) { s.token = token })
		wantRights(t, g, with(otherToken), page.MayChange)
		time.Sleep(time.Minute)
		wantRights(t, g, with(otherToken), page.ReadOnly)
		wantRights(t, g, with(token), page.MayChange)
	})
}

// TestGuessing: a guess costs nothing, and locks nobody out.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{token: token}
		g := operator.New(s)
		for i := range 10_000 {
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
			wantRights(t, g, with(otherToken[:25]+string(rune('A'+i%25))), page.ReadOnly)
		}
		if s.reads > 21 { // 100 seconds
			t.Errorf("the token was read %d times, want every 5 seconds at most", s.reads)
		}
		wantRights(t, g, with(token), page.MayChange)
	})
}

// TestNoToken: an empty token is none.
func TestNoToken(t *testing.T) {
	for name, s := range map[string]*source{"empty": {}, "unreadable": {err: errors.New("no")}} {
		g := operator.New(s)
		r := with("")
		r.Header.Set("Authorization", "Bearer ")
		wantRights(t, g, r, page.ReadOnly)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	var none *operator.Gate
	wantRights(t, none, with(token), page.ReadOnly)
	if got := none.TokenPath(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestHangingDisk: requests do not wait longer than two seconds, and the known
// token stays in use.
func TestHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{token: token}
		g := operator.New(s)
		wantRights(t, g, with(token), page.MayChange)
		s.set(func(s *source) { s.hangs = true })
		time.Sleep(2 * time.Minute)
		begin := time.Now()
		var asking sync.WaitGroup
		for range 100 {
			asking.Go(func() { wantRights(t, g, with(token), page.MayChange) })
			asking.Go(func() { wantRights(t, g, with(otherToken), page.ReadOnly) })
		}
		asking.Wait()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("200 requests took %v, want 2 s", took)
		}
	})
}

// TestPrepare: the token is created once it can be, and one warning says why it
// cannot.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &source{token: token, hangs: true}
		done := make(chan struct{})
		go func() {
			defer close(done)
			operator.New(s).Prepare(t.Context(), slog.New(slog.NewTextHandler(&out, nil)))
		}()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if out.Len() != 0 {
			t.Errorf("a slow disk is logged: %s", &out)
		}
		s.set(func(s *source) { s.hangs, s.err = false, errors.New("read-only file system") })
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") ||
			!strings.Contains(got, "read-only file system") || !strings.Contains(got, "--listen unix:PATH") {
			t.Errorf("got log\n%s\nwant one warning", got)
		}
		if s.reads > 40 {
			t.Errorf("tried %d times in a day", s.reads)
		}
		s.set(func(s *source) { s.err = nil })
		time.Sleep(time.Hour)
		<-done
	})
}

func TestPrepareStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &source{err: errors.New("no")}
		go operator.New(s).Prepare(ctx, slog.New(slog.DiscardHandler))
		synctest.Wait()
		cancel() // else the test fails, because the goroutine is left
	})
}

// TestLocal: only direct connections from this machine may deny.
func TestLocal(t *testing.T) {
	for _, tt := range []struct {
		remote, header string
		want           page.Rights
	}{
		{"127.0.0.1:1", "", page.MayDeny},
		{"127.9.9.9:1", "", page.MayDeny},
		{"[::1]:1", "", page.MayDeny},
		{"[::ffff:127.0.0.1]:1", "", page.MayDeny},
		{"192.0.2.1:1", "", page.ReadOnly},
		{"[2001:db8::1]:1", "", page.ReadOnly},
		{"[fe80::1%lo]:1", "", page.ReadOnly},
		{"@", "", page.ReadOnly},
		{"", "", page.ReadOnly},
		{"localhost", "", page.ReadOnly},
		{"127.0.0.1:1", "X-Forwarded-For", page.ReadOnly},
		{"127.0.0.1:1", "X-Real-IP", page.ReadOnly},
		{"127.0.0.1:1", "Forwarded", page.ReadOnly},
		{"127.0.0.1:1", "Via", page.ReadOnly},
	} {
		r := with("")
		r.RemoteAddr = tt.remote
		if tt.header != "" {
			r.Header.Set(tt.header, "127.0.0.1")
		}
		if got := operator.New(&source{}).Rights(r); got != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.remote, tt.header, got, tt.want)
		}
	}
}
