// Package operator recognizes who acts for the operator of an installation on a
// local server. Only the operator may grant telemetry, send, reset the ID, or
// have the installation forgotten. Everyone on the machine may deny.
//
// There are three ways to prove it. A program sends the token, which lies in a
// file that only the operator and the server can open. A program connects to a
// Unix socket as root, as the user of the server, or as the owner of the
// config; the kernel tells the server who it is. A person opens a link made with
// the token ([NewLink]), which signs their browser in once.
package operator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/loopback"
	"github.com/rollcall-dev/rollcall/page"
)

const (
	// readTimeout bounds a read of the token.
	readTimeout = 2 * time.Second
	// maxAge is how long a token is used without reading it again, so that
	// deleting its file ends what was proven with it.
	maxAge = time.Minute
	// wrongAge is the same after a wrong token. It bounds what somebody who
	// guesses tokens costs.
	wrongAge = 5 * time.Second
)

// A Source knows the token and the owner of the config, such as a
// [rollcall.Service].
type Source interface {
	// CreateToken is [rollcall.Service.CreateToken].
	CreateToken(ctx context.Context) (rollcall.Operator, error)
}

// A Gate knows the rights of requests. Create it with [New]. It is safe for
// concurrent use, and a nil Gate lets nobody change anything.
type Gate struct {
	source Source
	began  time.Time

	turn   chan struct{} // holds an item while somebody reads the token or uses what was read
	known  rollcall.Operator
	readAt time.Time

	browsers browsers
}

// New returns the gate of an installation. It reads nothing yet.
func New(source Source) *Gate {
	return &Gate{source: source, began: time.Now(), turn: make(chan struct{}, 1), known: rollcall.Operator{Owner: -1}}
}

// Rights returns the rights of a request: [page.MayChange] with proof,
// [page.MayDeny] on this machine, and [page.ReadOnly] otherwise.
func (g *Gate) Rights(r *http.Request) page.Rights {
	switch {
	case g != nil && (isSignedIn(r) || g.hasToken(r) || g.isOperator(peerOf(r))):
		return page.MayChange
	case isLocal(r):
		return page.MayDeny
	}
	return page.ReadOnly
}

// hasToken reports whether the request has the token as a bearer token.
func (g *Gate) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sent := sha256.Sum256([]byte(strings.TrimSpace(token)))
	_, ok := g.match(func(token string) bool {
		want := sha256.Sum256([]byte(token))
		return subtle.ConstantTimeCompare(sent[:], want[:]) == 1
	})
	return ok
}

// match returns the token if it matches. It reads the token anew if the one it
// knows does not match.
func (g *Gate) match(matches func(token string) bool) (token string, ok bool) {
	for _, age := range []time.Duration{maxAge, wrongAge} {
		if token := g.operator(age).Token; token != "" && matches(token) {
			return token, true
		}
	}
	return "", false
}

// TokenPath returns where the token is, as far as that is known, or "".
func (g *Gate) TokenPath() string {
	if g == nil {
		return ""
	}
	return g.operator(maxAge).TokenPath
}

// operator returns what was read within the given time, or reads it.
func (g *Gate) operator(age time.Duration) rollcall.Operator {
	g.turn <- struct{}{} // whoever reads has it for readTimeout at most
	defer func() { <-g.turn }()
	if g.readAt.IsZero() || time.Since(g.readAt) >= age {
		_ = g.read(context.Background()) // Prepare logs why there is no token
	}
	return g.known
}

// read reads the token, and creates it if there is none. While the disk hangs,
// the known one stays. It is the caller's turn.
func (g *Gate) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	o, err := g.source.CreateToken(ctx)
	g.readAt = time.Now()
	if ctx.Err() == nil {
		g.known = o
	}
	return err
}

// The pauses of Prepare between two attempts.
const (
	firstPause = time.Minute
	longPause  = time.Hour
)

// Prepare creates the token and returns when that is done, or ctx ends. It
// tries again as long as it fails, and logs the first reason that is not merely
// a slow disk.
func (g *Gate) Prepare(ctx context.Context, log *slog.Logger) {
	logged := false
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		g.turn <- struct{}{}
		err := g.read(ctx)
		<-g.turn
		if err == nil || ctx.Err() != nil {
			return
		}
		if !logged && !errors.Is(err, context.DeadlineExceeded) {
			logged = true
			log.Warn("No token for changes through the local server", "error", err.Error(),
				"note", "the page can only deny; use the verbs of rollcall, or --listen unix:PATH, or set --state-dir")
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// A peer is the other side of a connection over a Unix socket.
type peer struct {
	uid   int
	known bool
}

type peerKey struct{}

// ConnContext is for [http.Server]: it notes who connects to a Unix socket.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUser(unix)
	return context.WithValue(ctx, peerKey{}, peer{uid, err == nil})
}

// overflowUser stands for every user of another user namespace.
const overflowUser = 65534

// peerOf returns the peer of a request that came through a Unix socket, and not
// through a proxy that passes on the requests of others.
func peerOf(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	p.known = p.known && p.uid != overflowUser && !isForwarded(r)
	return p
}

// isOperator reports whether a peer is root, the user of this process, or the
// owner of the config.
func (g *Gate) isOperator(p peer) bool {
	return p.known && (p.uid == 0 || p.uid == os.Geteuid() || p.uid == g.operator(maxAge).Owner)
}

// isLocal reports whether a request comes from this machine.
func isLocal(r *http.Request) bool {
	if isForwarded(r) {
		return false
	}
	if _, overSocket := r.Context().Value(peerKey{}).(peer); overSocket {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && loopback.IsHost(host)
}

// isForwarded reports whether a proxy says that it forwards the request, so
// that its own address and user say nothing about the sender's.
func isForwarded(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}
