package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// healthz says that the server answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

// A readiness remembers for a moment whether a write commits, so that asking often does not write often.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

const (
	readyFor  = 2 * time.Second
	readyWait = 5 * time.Second
)

// readyz says whether a write commits.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.at) > readyFor {
		ctx, cancel := context.WithTimeout(context.Background(), readyWait)
		s.ready.err = s.c.Ready(ctx)
		cancel()
		s.ready.at = time.Now()
	}
	if s.ready.err != nil {
		http.Error(w, "a write does not commit", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}
