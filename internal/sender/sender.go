package sender

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const (
	// storeTimeout bounds one look at, or save of, what is kept on disk.
	storeTimeout = 5 * time.Second
	// withdrawnEvery is how often consent is looked at while a request is under way.
	withdrawnEvery = 250 * time.Millisecond
	// replicaSpread is the random part of a process's moment after the report is due, so that replicas which share an
	// ID see that one of them has reported.
	replicaSpread = 5 * time.Minute
	// unkeptDelay takes firstDelay's place where nothing can be kept on disk, so that restarts are not seen: a program
	// that restarts all the time reports not at all rather than all the time.
	unkeptDelay = time.Hour

	heartbeatPath = "/v1/heartbeat"
	healthPath    = "/v1/health"
	installPath   = "/v1/installations/"
)

// Why nothing is sent.
var (
	ErrWithheld  = errors.New("telemetry is not granted")
	ErrNoID      = errors.New("the installation ID is not known yet")
	ErrNotDue    = errors.New("not due")
	ErrStopped   = errors.New("stopped")
	errWithdrawn = errors.New("consent was withdrawn")
)

// Config is what a [Sender] works with. The functions must return soon after their context ends.
type Config struct {
	// Endpoint is the collector's URL; the paths of the protocol are below it.
	Endpoint string
	// Proxy is the URL of a proxy; empty takes those of the environment. CAFile has further certificates to trust.
	Proxy, CAFile string
	UserAgent     string

	// ID gives the installation ID, and false while it is not settled.
	ID func() (string, bool)
	// Allowed tells whether the operator's consent stands at this moment.
	Allowed func(context.Context) bool
	// Heartbeat gives the report to send.
	Heartbeat func(context.Context) ([]byte, error)
	// Health gives the health report to send, or nil when there is none or it is not allowed; sent is called when it
	// was accepted. Nil for none.
	Health func(context.Context) (body []byte, sent func())

	// Load and Save keep the state on disk. Load gives fs.ErrNotExist when there is none. Nil where nothing can be kept.
	Load func(context.Context) ([]byte, error)
	Save func(context.Context, []byte) error

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
	spread time.Duration

	sending sync.Mutex // held while a report is sent: never two at a time

	mu      sync.Mutex
	client  *client
	timer   *time.Timer
	cancel  context.CancelCauseFunc // of all that runs; nil before Start
	ctx     context.Context
	running sync.WaitGroup
	started time.Time
	state   State // as last read or written
	kept    bool  // whether state is on disk
	next    time.Time
}

// New checks nothing and does nothing; see [CheckEndpoint].
func New(c Config) *Sender {
	c.Endpoint = strings.TrimSuffix(c.Endpoint, "/")
	return &Sender{config: c, spread: rand.N(replicaSpread), kept: c.Load != nil}
}

// Start begins to look, from time to time, whether a report is due. It does not wait and costs no goroutine while none
// is.
func (s *Sender) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.started = time.Now()
	s.timer = time.AfterFunc(overdueDelay, s.tick)
}

// look arms the timer. The caller holds mu.
func (s *Sender) look(in time.Duration) { s.timer.Reset(min(in, lookEvery)) }

// Stop cancels what is under way and waits until nothing runs any more, no longer than ctx.
func (s *Sender) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.cancel == nil {
		s.mu.Unlock()
		return nil
	}
	s.cancel(ErrStopped)
	s.timer.Stop()
	s.next = time.Time{}
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

// tick is one look.
func (s *Sender) tick() {
	s.mu.Lock()
	ctx := s.ctx
	if ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()

	next := s.sendWhenDue(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.look(time.Until(next))
	}
}

// sendWhenDue sends if a report is due now, and tells when to look again.
func (s *Sender) sendWhenDue(ctx context.Context) time.Time {
	soon := time.Now().Add(lookEvery)
	if !s.config.Allowed(ctx) {
		s.setNext(time.Time{})
		return soon
	}
	id, ok := s.config.ID()
	if !ok {
		return time.Now().Add(firstDelay)
	}
	now := time.Now()
	if now.Before(plausible) {
		return now.Add(firstDelay)
	}
	if err := s.reload(ctx); err != nil {
		return soon // what cannot be read may say that today's report is sent
	}
	st := s.current()
	if st.Gone == s.config.Endpoint {
		s.setNext(time.Time{})
		return soon
	}
	at := s.moment(id, st, now)
	s.setNext(at)
	if !at.After(now) {
		s.keep(ctx, st) // to learn whether anything can be kept, before it matters
		at = s.moment(id, s.current(), now)
	}
	if at.After(now) {
		s.setNext(at)
		return at
	}
	if err := s.send(ctx, id); err != nil {
		s.config.Logger.Debug("Heartbeat not sent", "error", err.Error())
	}
	at = s.moment(id, s.current(), time.Now())
	s.setNext(at)
	return at
}

// moment is when this process sends the report that is due next.
func (s *Sender) moment(id string, st State, now time.Time) time.Time {
	s.mu.Lock()
	started, kept := s.started, s.kept
	s.mu.Unlock()
	at := due(id, st, now)
	if at.After(now) {
		return at.Add(s.spread)
	}
	delay := firstDelay + s.spread/5
	switch {
	case !kept:
		delay = unkeptDelay
	case !st.Success.IsZero() && now.Sub(at) > overdue:
		delay = overdueDelay
	}
	first := started.Add(delay)
	if !st.Success.IsZero() && at.Add(s.spread).After(first) {
		first = at.Add(s.spread)
	}
	if first.Before(now) {
		return now
	}
	return first
}

// SendIfDue sends if a report is due, within ctx: for programs that do not run long. It does not wait for the moment,
// and fails with ErrNotDue.
func (s *Sender) SendIfDue(ctx context.Context) error {
	if !s.config.Allowed(ctx) {
		return ErrWithheld
	}
	id, ok := s.config.ID()
	if !ok {
		return ErrNoID
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	st, now := s.current(), time.Now()
	if st.Gone == s.config.Endpoint || now.Before(plausible) || due(id, st, now).After(now) {
		return ErrNotDue
	}
	return s.send(ctx, id)
}

// SendNow sends whether a report is due or not; only consent is asked for. The error of an attempt is an *Error.
func (s *Sender) SendNow(ctx context.Context) error {
	if !s.config.Allowed(ctx) {
		return ErrWithheld
	}
	id, ok := s.config.ID()
	if !ok {
		return ErrNoID
	}
	if err := s.reload(ctx); err != nil {
		s.config.Logger.Debug("Sending state not read", "error", err.Error())
	}
	return s.send(ctx, id)
}

// Withdraw cancels a request that is under way, now that consent has been withdrawn.
func (s *Sender) Withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil || s.ctx.Err() != nil {
		return
	}
	s.cancel(errWithdrawn)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.look(lookEvery)
}

// Look makes the sender look again soon, now that consent has been granted.
func (s *Sender) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil && s.ctx.Err() == nil {
		s.look(time.Second)
	}
}

// Forget asks the collector to delete all it holds about the installation.
func (s *Sender) Forget(ctx context.Context, id string) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	if e := c.remove(ctx, s.config.Endpoint+installPath+id); e != nil {
		return e
	}
	return nil
}

// Upload sends a heartbeat that was made elsewhere, as `send FILE` does. It neither asks for consent, which was given
// where the report was made, nor keeps a state.
func (s *Sender) Upload(ctx context.Context, body []byte) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	if e := c.post(ctx, s.config.Endpoint+heartbeatPath, body); e != nil {
		return e
	}
	return nil
}

// Status tells what is known, without a look at the disk.
func (s *Sender) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	return Status{
		Endpoint:    s.config.Endpoint,
		LastSuccess: st.Success,
		LastAttempt: st.Attempt,
		LastError:   st.Error,
		Gone:        st.Gone != "" && st.Gone == s.config.Endpoint,
		Kept:        s.kept,
		NextDue:     s.next,
	}
}

// send makes one attempt and keeps what came of it.
func (s *Sender) send(ctx context.Context, id string) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	c, err := s.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopWatching := s.watchConsent(ctx, cancel)
	defer stopWatching()

	body, err := s.config.Heartbeat(ctx)
	if err != nil {
		return err
	}
	s.keep(ctx, s.current().begin(time.Now())) // before the attempt, so that a restart in the midst of it counts
	failed := c.post(ctx, s.config.Endpoint+heartbeatPath, body)
	if cause := context.Cause(ctx); failed != nil && (errors.Is(cause, errWithdrawn) || errors.Is(cause, ErrStopped)) {
		return cause
	}
	if failed != nil {
		s.keep(ctx, s.current().failed(time.Now(), s.config.Endpoint, failed))
		return failed
	}
	s.keep(ctx, s.current().succeeded(time.Now()))
	s.sendHealth(ctx, c)
	return nil
}

// sendHealth follows an accepted heartbeat. That it fails is no more than a debug line: its counts are cumulative, so
// that the next one says it all.
func (s *Sender) sendHealth(ctx context.Context, c *client) {
	if s.config.Health == nil || ctx.Err() != nil {
		return
	}
	body, sent := s.config.Health(ctx)
	if body == nil {
		return
	}
	if err := c.post(ctx, s.config.Endpoint+healthPath, body); err != nil {
		s.config.Logger.Debug("Health report not sent", "error", err.Error())
		return
	}
	sent()
}

// watchConsent cancels with errWithdrawn when consent no longer stands.
func (s *Sender) watchConsent(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(withdrawnEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !s.config.Allowed(ctx) && ctx.Err() == nil {
					cancel(errWithdrawn)
					return
				}
			}
		}
	})
	return func() { stop(); watching.Wait() }
}

func (s *Sender) open() (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		c, err := newClient(s.config)
		if err != nil {
			return nil, err
		}
		s.client = c
	}
	return s.client, nil
}

func (s *Sender) current() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

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
	if !st.Attempt.Before(s.state.Attempt) {
		s.state = st
	}
	return nil
}

// keep makes st the state, on disk where that is possible.
func (s *Sender) keep(ctx context.Context, st State) {
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
	if s.config.Save == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := s.config.Save(ctx, st.Marshal())
	s.mu.Lock()
	s.kept = err == nil
	s.mu.Unlock()
	if err != nil {
		s.config.Logger.Debug("Sending state not kept", "error", err.Error())
	}
}

func (s *Sender) setNext(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = at
}
