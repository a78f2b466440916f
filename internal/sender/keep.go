package sender

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

const (
	// storeTimeout bounds one look at, or save of, what is kept on disk.
	storeTimeout = 5 * time.Second
	// saveGrace is how much longer than its caller a save may take: what is known is not to be lost for a few
	// milliseconds.
	saveGrace = 30 * time.Millisecond
)

// reload reads what this process, or another with the same ID, kept.
func (s *Sender) reload(ctx context.Context) error {
	if s.config.Load == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.config.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := ParseState(data)
	if err != nil {
		st = State{} // damaged: as if it never reported; the collector counts a second report of a day once
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isNewer(st) {
		s.state = st
	}
	return nil
}

// isNewer tells whether what was read is to be believed rather than what is remembered: other processes may have
// written, and what this one wrote last may not have been kept. The caller holds mu.
func (s *Sender) isNewer(read State) bool {
	known := s.state
	switch {
	case known == State{}:
		return true
	case !s.kept:
		return read.Attempt.After(known.Attempt) && !read.isAhead(time.Now())
	}
	return !read.Attempt.Before(known.Attempt)
}

// keep makes st the state, and tells whether it is on disk.
func (s *Sender) keep(ctx context.Context, st State) bool {
	s.set(st)
	if s.config.Load == nil || s.config.Save == nil {
		return false
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(saveGrace, cancel) })()
	err := s.config.Save(saving, st.Marshal())
	if err != nil {
		s.config.Logger.Debug("Sending state not kept", "error", err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = err == nil
	return s.kept
}

func (s *Sender) set(st State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
}
