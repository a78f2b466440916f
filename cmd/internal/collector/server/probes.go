package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// healthz reports that the server answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

// A readiness caches whether the store commits, so that frequent probes do not
// cause frequent commits.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

const (
	readyFor     = 2 * time.Second
	readyTimeout = 5 * time.Second
)

// readyz reports whether the store commits.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.at) > readyFor {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		s.ready.err = s.engine.Ready(ctx)
		cancel()
		s.ready.at = time.Now()
	}
	if s.ready.err != nil {
		http.Error(w, "the store does not commit", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}
