package isolate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// idleTime is how long a child waits for the next request. It is longer than
// the pause between two looks at the consent while a report is sent, so that
// one child serves them all.
const idleTime = 2 * time.Second

// A Store is the store and the records at a location, used by a child process.
type Store struct {
	location idstore.Location
	flight   flight.Flight
	unsynced atomic.Bool // whether the last write of an ID was cut short

	mu   sync.Mutex
	idle *child // waits for a request; nil if none does
}

var (
	_ keeper.Store    = (*Store)(nil)
	_ idstore.Records = (*Store)(nil)
)

// NewStore returns the store of a location. It returns ErrNoHook if RunChild
// has not been called.
func NewStore(location idstore.Location) (*Store, error) {
	if !hooked.Load() {
		return nil, ErrNoHook
	}
	if _, err := location.Open(fsys.OS{}); err != nil {
		return nil, err
	}
	return &Store{location: location}, nil
}

// Running returns the operation that a child is performing and when it began,
// or "".
func (s *Store) Running() (op string, since time.Time) { return s.flight.Running() }

func (s *Store) do(ctx context.Context, req request) (result, error) {
	req.Location = s.location
	a, err := flight.Do(ctx, &s.flight, req.Op+" in a child process", func(ctx context.Context) (answer, error) {
		return s.ask(ctx, req)
	})
	if err != nil {
		return result{}, err
	}
	return a.result, a.err()
}

// ask asks the idle child, or a new one.
func (s *Store) ask(ctx context.Context, req request) (answer, error) {
	for c := s.takeIdle(); ; c = nil {
		isNew := c == nil
		if isNew {
			var err error
			if c, err = startChild(); err != nil {
				return answer{}, fmt.Errorf("start child process: %w", err)
			}
		}
		a, usable, err := c.ask(ctx, req)
		if usable {
			s.setIdle(c)
			return a, nil
		}
		endErr := c.end()
		switch {
		case err == nil:
			return a, nil
		case isNew || ctx.Err() != nil:
			return answer{}, fmt.Errorf("child process: %w", errors.Join(err, endErr))
		}
		// Somebody killed the idle child: start another.
	}
}

func (s *Store) takeIdle() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.idle
	s.idle = nil
	if c != nil {
		c.expiry.Stop()
	}
	return c
}

func (s *Store) setIdle(c *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = c
	c.expiry = time.AfterFunc(idleTime, s.CloseIdle)
}

// CloseIdle ends the child that waits for the next request, if there is one.
// The next request starts another.
func (s *Store) CloseIdle() {
	if c := s.takeIdle(); c != nil {
		go c.end()
	}
}

// Load implements [keeper.Store].
func (s *Store) Load(ctx context.Context) (keeper.Record, error) {
	r, err := s.do(ctx, request{Op: opLoad})
	r.Record.Unsynced = s.unsynced.Load() && !r.Record.ID.IsZero()
	return r.Record, err
}

// Save implements [keeper.Store].
func (s *Store) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opSave, ID: id})
}

// Replace implements [keeper.Store].
func (s *Store) Replace(ctx context.Context, old, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opReplace, Old: old, ID: id})
}

// Maintain implements [keeper.Store].
func (s *Store) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opMaintain, ID: id})
}

// write is for operations that store an ID. A child does not remember an ID
// that it could not make durable; the next one syncs what it finds, and its
// error says whether that worked.
func (s *Store) write(ctx context.Context, req request) (keeper.Record, error) {
	r, err := s.do(ctx, req)
	untouched := err == nil || configfile.Permanent(err) || errors.Is(err, jsonedit.ErrEmpty)
	s.unsynced.Store(!untouched && r.Record.ID.IsZero())
	return r.Record, err
}

// Recover implements [keeper.Store].
func (s *Store) Recover(ctx context.Context) error {
	_, err := s.do(ctx, request{Op: opRecover})
	return err
}

// ReadDecisions implements [idstore.Records].
func (s *Store) ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) (d idstore.Decisions) {
	d.Config, d.ConfigErr = s.readValues(ctx, opReadConfig, configKeys)
	if ctx.Err() == nil {
		d.Policy, d.PolicyErr = s.readValues(ctx, opReadPolicy, policyKeys)
	}
	return d
}

func (s *Store) readValues(ctx context.Context, op string, keys []jsonedit.Key) ([]jsonedit.Value, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	r, err := s.do(ctx, request{Op: op, Keys: keys})
	if err == nil && len(r.Values) != len(keys) {
		err = errors.New("child process: an answer of another length")
	}
	return r.Values, err
}

// WriteValue implements [idstore.Records].
func (s *Store) WriteValue(ctx context.Context, key jsonedit.Key, literal string) error {
	_, err := s.do(ctx, request{Op: opWriteValue, Keys: []jsonedit.Key{key}, Literal: literal})
	return err
}

// CheckWrite implements [idstore.Records].
func (s *Store) CheckWrite(ctx context.Context, key jsonedit.Key) error {
	_, err := s.do(ctx, request{Op: opCheckWrite, Keys: []jsonedit.Key{key}})
	return err
}

// ReadWithdrawals implements [idstore.Records].
func (s *Store) ReadWithdrawals(ctx context.Context, id installid.ID) (idstore.Withdrawals, error) {
	r, err := s.do(ctx, request{Op: opWithdrawals, ID: id})
	return r.Withdrawals, err
}

// Deny implements [idstore.Records].
func (s *Store) Deny(ctx context.Context, subject idstore.Subject, d idstore.Denial) error {
	_, err := s.do(ctx, request{Op: opDeny, Subject: subject, Denial: d})
	return err
}

// Grant implements [idstore.Records].
func (s *Store) Grant(ctx context.Context, subject idstore.Subject, only idstore.Denial) error {
	_, err := s.do(ctx, request{Op: opGrant, Subject: subject, Denial: only})
	return err
}

// Retire implements [idstore.Records].
func (s *Store) Retire(ctx context.Context, id installid.ID) error {
	_, err := s.do(ctx, request{Op: opRetire, ID: id})
	return err
}

// LoadNote implements [idstore.Records].
func (s *Store) LoadNote(ctx context.Context, n idstore.Note) ([]byte, error) {
	r, err := s.do(ctx, request{Op: opLoadNote, Note: n})
	return []byte(r.Content), err
}

// SaveNote implements [idstore.Records].
func (s *Store) SaveNote(ctx context.Context, n idstore.Note, content []byte) error {
	_, err := s.do(ctx, request{Op: opSaveNote, Note: n, Content: string(content)})
	return err
}

// ReadOperator implements [idstore.Records].
func (s *Store) ReadOperator(ctx context.Context) (idstore.Operator, error) {
	return s.operator(ctx, opOperator)
}

// CreateToken implements [idstore.Records].
func (s *Store) CreateToken(ctx context.Context) (idstore.Operator, error) {
	return s.operator(ctx, opToken)
}

func (s *Store) operator(ctx context.Context, op string) (idstore.Operator, error) {
	r, err := s.do(ctx, request{Op: op})
	if err != nil && r.Operator == (idstore.Operator{}) {
		r.Operator.Owner = -1 // the child returned nothing
	}
	return r.Operator, err
}

// Diagnose is [idstore.Location.Diagnose] in a child process.
func (s *Store) Diagnose(ctx context.Context) ([]diagnose.Finding, error) {
	r, err := s.do(ctx, request{Op: opDiagnose})
	return r.Findings, err
}
