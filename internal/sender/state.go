package sender

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

const (
	// stateTimeout bounds a read or a write of the state.
	stateTimeout = 5 * time.Second
	// saveGrace is how much longer than its caller a save may take, lest
	// the outcome of an attempt be lost for a few milliseconds.
	saveGrace = 30 * time.Millisecond
)

// load reads what this process, or another with the same ID, saved.
func (s *Sender) load(ctx context.Context) error {
	if s.config.Load == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	data, err := s.config.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// A damaged state is the zero one, as if it never reported. The
	// collector counts a second report of a day once.
	st, _ := schedule.Parse(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.supersedes(st) {
		s.state = st
	}
	return nil
}

// supersedes reports whether a state from disk replaces the one in memory:
// other processes may have written it, and the last save of this one may
// have failed. The caller holds mu.
func (s *Sender) supersedes(read schedule.State) bool {
	known := s.state
	switch {
	case known == schedule.State{}:
		return true
	case !s.saved:
		return read.Attempt.After(known.Attempt) && !read.IsAhead(time.Now())
	}
	return !read.Attempt.Before(known.Attempt)
}

// save makes st the state, and reports whether it is on disk.
func (s *Sender) save(ctx context.Context, st schedule.State) bool {
	s.set(st)
	if s.config.Load == nil || s.config.Save == nil {
		return false
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(saveGrace, cancel) })()
	err := s.config.Save(saving, st.Marshal())
	if err != nil {
		s.config.Logger.Debug("Sending state not saved", "error", err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = err == nil
	return s.saved
}

func (s *Sender) set(st schedule.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
}
