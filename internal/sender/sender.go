package sender

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Config is what a [Sender] works with. The functions must return soon after their context ends, and are called one at
// a time, but for Allowed and HealthAllowed.
type Config struct {
	// Endpoint is the collector's URL; the paths of the protocol are below it. See [CheckEndpoint].
	Endpoint string
	// Proxy is the URL of a proxy; empty takes those of the environment. A collector on this machine is reached without.
	Proxy string
	// CAFile has certificates in PEM form to trust besides the system's. It is read before each attempt.
	CAFile    string
	UserAgent string

	// ID gives the installation ID, and false while it is not settled.
	ID func() (string, bool)
	// Allowed tells whether the operator's consent stands at this moment. It is also asked every 250 ms while a report
	// is under way, from another goroutine.
	Allowed func(context.Context) bool
	// Heartbeat gives the report to send.
	Heartbeat func(context.Context) ([]byte, error)
	// Health gives the health report to send, or nil when there is none or it is not allowed; sent is called when it
	// was accepted. Nil for none.
	Health func(context.Context) (body []byte, sent func())
	// HealthAllowed is Allowed for health reports, asked in the same way while one is under way. Nil for always.
	HealthAllowed func(context.Context) bool

	// Load and Save keep the state on disk, at most 1,000 bytes. Load gives fs.ErrNotExist when there is none. Nil where
	// nothing can be kept.
	Load func(context.Context) ([]byte, error)
	Save func(context.Context, []byte) error

	// Logger gets a debug line for each attempt that fails; nil discards it.
	Logger *slog.Logger
}

// Status is what a [Sender] knows.
type Status struct {
	Endpoint    string    `json:"endpoint,omitempty"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	Gone        bool      `json:"gone,omitempty"`
	Kept        bool      `json:"kept"`
	NextDue     time.Time `json:"next_due,omitzero"`
}

// A Sender sends the reports of one installation. Its methods are safe for concurrent use.
type Sender struct {
	config Config
	spread time.Duration // its part of replicaSpread
	wire   wire
	open   func(context.Context) (poster, error)

	// turn holds a token while a report is sent, and while it is decided whether one is: never two at a time.
	turn chan struct{}

	mu        sync.Mutex
	running   sync.WaitGroup // all that Stop waits for; grows only while not stopped
	life      context.Context
	end       context.CancelCauseFunc // of life
	consented context.Context         // inside life: what happens only as long as consent stands
	withdraw  context.CancelCauseFunc // of consented
	timer     *time.Timer             // nil before Start
	started   time.Time
	looks     int       // how often the timer was set or has fired: the last look sets it again
	state     State     // as last read or written
	kept      bool      // whether state is on disk
	tried     time.Time // when this process made its last attempt
	next      time.Time
}

// A poster makes requests to the collector; nil is success.
type poster interface {
	post(ctx context.Context, url string, body []byte) *Error
	remove(ctx context.Context, url string) *Error
}

// New checks nothing and does nothing; see [CheckEndpoint].
func New(c Config) *Sender {
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{
		config: c,
		spread: rand.N(replicaSpread),
		wire:   newWire(),
		turn:   make(chan struct{}, 1),
		kept:   c.Load != nil && c.Save != nil,
	}
	s.open = func(ctx context.Context) (poster, error) { return newClient(ctx, c, s.wire) }
	s.life, s.end = context.WithCancelCause(context.Background())
	s.consented, s.withdraw = context.WithCancelCause(s.life)
	return s
}

// Start begins to look, from time to time, whether a report is due. It does not wait and costs no goroutine while none
// is. After Stop it does nothing.
func (s *Sender) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil || s.life.Err() != nil {
		return
	}
	s.started = time.Now()
	s.timer = time.AfterFunc(overdueDelay, s.tick)
}

// Stop cancels what is under way, for good, and waits until nothing runs any more, no longer than ctx.
func (s *Sender) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.end(ErrStopped)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Withdraw cancels what is under way, now that consent has been withdrawn.
func (s *Sender) Withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdraw(errWithdrawn)
	s.consented, s.withdraw = context.WithCancelCause(s.life)
	s.next = time.Time{}
}

// Look makes the sender look again soon, now that consent has been granted.
func (s *Sender) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && s.life.Err() == nil {
		s.timer.Reset(time.Second)
		s.looks++
	}
}

// Status tells what is known, without a look at the disk.
func (s *Sender) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	status := Status{
		Endpoint:    s.config.Endpoint,
		LastSuccess: st.Success,
		LastAttempt: st.Attempt,
		LastError:   st.Error,
		Gone:        s.isGone(st.Gone),
		Kept:        s.kept,
	}
	if s.life.Err() == nil {
		status.NextDue = s.next
	}
	return status
}

func (s *Sender) isGone(gone string) bool { return gone != "" && gone == mark(s.config.Endpoint) }

// enter begins an operation, which ends with ctx, with Stop and, if it needs consent, with Withdraw. It fails after Stop.
func (s *Sender) enter(ctx context.Context, needsConsent bool) (_ context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, nil, ErrStopped
	}
	bounds := s.life
	if needsConsent {
		bounds = s.consented
	}
	s.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(bounds, func() { cancel(context.Cause(bounds)) })
	return ctx, func() {
		unbind()
		cancel(nil)
		s.running.Done()
	}, nil
}

// takeTurn waits until it is this operation's turn, no longer than ctx.
func (s *Sender) takeTurn(ctx context.Context) (giveBack func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tick is one look.
func (s *Sender) tick() {
	ctx, leave, err := s.enter(context.Background(), true)
	if err != nil {
		return
	}
	defer leave()
	s.mu.Lock()
	s.looks++
	mine := s.looks
	s.mu.Unlock()

	next := s.sendWhenDue(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() == nil && s.looks == mine {
		s.timer.Reset(min(time.Until(next), lookEvery))
	}
}

// sendWhenDue sends if a report is due now, and tells when to look again.
func (s *Sender) sendWhenDue(ctx context.Context) time.Time {
	giveBack, err := s.takeTurn(ctx)
	if err != nil {
		return time.Now().Add(lookEvery)
	}
	defer giveBack()
	at, again := s.decide(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.next = at.UTC().Truncate(time.Second)
	}
	return again
}

// decide sends if a report is due now. It tells when the next one will be, zero when that is not known, and when to
// decide again. The caller has the turn.
func (s *Sender) decide(ctx context.Context) (at, again time.Time) {
	later := time.Now().Add(lookEvery)
	if !s.config.Allowed(ctx) {
		return time.Time{}, later
	}
	id, settled := s.config.ID()
	now := time.Now()
	if !settled || !plausible(now) {
		return time.Time{}, now.Add(firstDelay)
	}
	phase, unread := phaseOf(id), s.reload(ctx) != nil
	st, r := s.current(unread)
	if s.isGone(st.Gone) {
		return time.Time{}, later
	}
	if seen := st.seen(phase, now, r.age); seen != st {
		if unread {
			s.set(seen)
		} else {
			s.keep(ctx, seen)
		}
		st, r = s.current(unread)
	}
	at = r.moment(phase, st, now)
	if at.After(now) {
		return at, at
	}
	if err := s.send(ctx, phase, r.blind); err != nil {
		s.config.Logger.Debug("Heartbeat not sent", "error", err.Error())
	}
	st, r = s.current(unread)
	now = time.Now()
	if at = r.moment(phase, st, now); at.After(now) {
		return at, at
	}
	return at, now.Add(firstDelay) // never in a tight loop, whatever went wrong
}

// current gives the state, and this process as the schedule sees it.
func (s *Sender) current(unread bool) (State, run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	r := run{age: now.Sub(s.started), spread: s.spread, blind: s.state.isAhead(now)}
	if r.idle = r.age; s.tried.IsZero() {
		r.blind = r.blind || unread || !s.kept
	} else {
		r.idle = now.Sub(s.tried)
	}
	return s.state, r
}
