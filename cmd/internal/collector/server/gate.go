package server

import (
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// The bounds of requests that are not finished. A request has a body of at most
// [report.MaxHealthBytes], or a page's form, so all of them together have some
// 64 MiB of bodies.
const (
	maxRequests          = 1024
	maxRequestsPerPrefix = 256
	// bodyTimeout bounds the reading of a body. A sender that is slower holds a
	// place that others need.
	bodyTimeout = 10 * time.Second
)

// The limits of an address prefix for requests that turn out to be wrong: a burst,
// and then one per interval. Beyond them nothing of it is read for a while. A
// report of an unknown installation is not wrong, and has limits of its own.
const (
	wrongBurst    = 1000
	wrongInterval = 20 * time.Millisecond
)

// bounded passes requests on as long as there are not too many of them at once,
// in total or from one address prefix, and not too many wrong ones from it. It
// reads nothing of the others. Probes are always answered.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		s.proxyHint(r)
		prefix := limit.Prefix(clientAddr(r, s.opts.TrustedProxies))
		if wait, ok := s.wrong.Left(prefix); !ok {
			s.turnAway(w, r, "wrong")
			refuseTooMany(w, wait)
			return
		}
		if !s.unfinished.Enter(prefix) {
			s.turnAway(w, r, "unfinished")
			refuseTooMany(w, busyRetry)
			return
		}
		defer s.unfinished.Leave(prefix)
		if r.Body != http.NoBody {
			// A ResponseWriter without deadlines has none to set.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		recorded := statusWriter{ResponseWriter: w}
		next.ServeHTTP(&recorded, r)
		if recorded.status >= 400 && recorded.status < 500 && recorded.status != http.StatusTooManyRequests {
			s.wrong.Take(prefix)
		}
	})
}

// turnAway counts a request that is refused before it is read, and has its
// connection closed, so that the rest of it need not be read either.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, kind string) {
	s.flood.Note(kind)
	s.flooded("", kind+" requests")
	s.countRefusal("", collector.RefusedRate)
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// proxyHint warns once of a proxy that was not named, behind which all
// installations share one limit.
func (s *Server) proxyHint(r *http.Request) {
	if len(r.Header["X-Forwarded-For"]) == 0 || isTrusted(parseAddr(r.RemoteAddr), s.opts.TrustedProxies) {
		return
	}
	s.hinted.Do(func() {
		s.log.Warn("Requests have X-Forwarded-For, but do not come from a trusted proxy; " +
			"if this collector is behind a proxy, all installations share one limit until you name it with --trusted-proxy")
	})
}
