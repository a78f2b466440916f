// Package sender sends the reports of an installation to its collector, and
// asks it for releases.
//
// Package schedule decides when. This package asks for consent, saves what
// was sent, and bounds every attempt: to 30 seconds in all, and to a small
// fixed number of requests and connections, whatever is in the way.
//
// In a build with the tag rollcall_nosend nothing in it can reach a network.
package sender

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// Config is what a [Sender] works with. The functions must return soon
// after their context ends. They are called one at a time, except Allowed
// and HealthAllowed.
type Config struct {
	// Endpoint is the collector's URL, which the paths of the protocol are
	// appended to. See [CheckEndpoint].
	Endpoint string
	// Proxy is the URL of a proxy; if empty, the environment decides. A
	// collector on this machine is reached without.
	Proxy string
	// CAFile holds certificates in PEM form to trust besides the system's.
	// It is read before each attempt.
	CAFile string
	// Transport makes the requests instead, if it is not nil; Proxy and CAFile
	// have no effect then. It may hang, panic, and ignore its context.
	Transport RoundTripper
	UserAgent string

	// ID returns what the time of day follows from, such as the installation ID,
	// and false while that is not settled.
	ID func(context.Context) (string, bool)
	// Allowed reports whether the operator's consent stands at this moment.
	// While a report is under way another goroutine calls it every 250 ms.
	Allowed func(context.Context) bool
	// Heartbeat returns the report to send.
	Heartbeat func(context.Context) ([]byte, error)
	// Ask, if it is not nil, takes the place of sending reports: it makes one
	// request of its own kind.
	Ask func(context.Context, Requester) *Error
	// Health returns the health report to send, or nil if there is none or
	// it is not allowed. It calls sent after it was accepted. Nil means
	// that there never is one.
	Health func(context.Context) (body []byte, sent func())
	// HealthAllowed is Allowed for health reports. Nil means always.
	HealthAllowed func(context.Context) bool
	// Ended is called after each attempt to send a report; err is nil if the
	// collector accepted it. Nil if nobody wants to know.
	Ended func(health bool, err error)

	// Load and Save keep the state on disk, at most 1,000 bytes. Load fails
	// with fs.ErrNotExist if there is none. Nil if nothing can be saved.
	Load func(context.Context) ([]byte, error)
	Save func(context.Context, []byte) error

	// Logger gets a debug line for each attempt that fails; nil discards it.
	Logger *slog.Logger
	// Failed is that line, if it is not "Heartbeat not sent".
	Failed string
}

// Status is what a [Sender] knows.
type Status struct {
	Endpoint    string    `json:"endpoint,omitempty"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	// Gone means that the collector wants no reports any more.
	Gone bool `json:"gone,omitempty"`
	// Kept means that what was sent is on disk.
	Kept bool `json:"kept"`
	// NextDue is when the next report is planned; zero if none is.
	NextDue time.Time `json:"next_due,omitzero"`
}

// A Sender sends the reports of one installation, or asks for releases. Its
// methods are safe for concurrent use.
type Sender struct {
	config  Config
	jitter  time.Duration // of the process; see schedule.Process
	network network
	connect func(context.Context) (Requester, error)

	// token is held by whoever sends a report, or decides whether to.
	token chan struct{}

	mu        sync.Mutex
	running   sync.WaitGroup // operations; grows only before Stop
	life      context.Context
	end       context.CancelCauseFunc // of life
	consented context.Context         // ends with life, and with consent
	withdraw  context.CancelCauseFunc // of consented
	timer     *time.Timer             // nil before Start
	wakes     int                     // starts and resets of the timer; the last one resets it
	started   time.Time
	state     schedule.State // as last read or written
	saved     bool           // whether state is on disk
	tried     time.Time      // when this process made its last attempt
	next      time.Time
}

// A Message is a request to make.
type Message struct {
	Method, URL string
	Body        []byte // nil for none
	// ETag names the answer that is known already; empty for none.
	ETag string
	// Want is how many bytes the body of an answer may have that is needed; 0
	// means that the status is all.
	Want int
	// About is the installation ID that a report says, if the request may resume
	// the TLS session of the last one about it. The collector can tell that both
	// have one sender.
	About string
}

// An Answer is what the collector said, if that was wanted.
type Answer struct {
	// Unchanged means that the known answer still holds.
	Unchanged bool
	ETag      string
	Body      []byte
}

// A Requester makes a request. The error is nil if the collector accepted it.
type Requester func(context.Context, Message) (Answer, *Error)

// New returns a sender, which does nothing before Start. It does not check
// the config; see [CheckEndpoint].
func New(c Config) *Sender {
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ended == nil {
		c.Ended = func(bool, error) {}
	}
	s := &Sender{
		config:  c,
		jitter:  rand.N(schedule.MaxJitter),
		network: newNetwork(),
		token:   make(chan struct{}, 1),
		saved:   c.Load != nil && c.Save != nil,
	}
	s.connect = func(ctx context.Context) (Requester, error) { return newClient(ctx, c, s.network) }
	s.life, s.end = context.WithCancelCause(context.Background())
	s.consented, s.withdraw = context.WithCancelCause(s.life)
	return s
}

// Start begins to check, from time to time, whether a report is due. It
// does not wait, and costs no goroutine while none is. After Stop it does
// nothing.
func (s *Sender) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil || s.life.Err() != nil {
		return
	}
	s.started = time.Now()
	s.timer = time.AfterFunc(schedule.OverdueDelay, s.tick)
}

// Stop cancels what is under way, for good, and waits until nothing runs
// any more, no longer than ctx.
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

// Withdraw cancels what needs consent, after that was withdrawn.
func (s *Sender) Withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdraw(errWithdrawn)
	s.consented, s.withdraw = context.WithCancelCause(s.life)
	s.next = time.Time{}
}

// Wake makes the sender check soon whether a report is due, after consent
// was granted.
func (s *Sender) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && s.life.Err() == nil {
		s.timer.Reset(time.Second)
		s.wakes++
	}
}

// Status returns what is known. It does not read the disk.
func (s *Sender) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{
		Endpoint:    s.config.Endpoint,
		LastSuccess: s.state.Success,
		LastAttempt: s.state.Attempt,
		LastError:   s.state.Error,
		Gone:        s.state.GoneAt(s.config.Endpoint),
		Kept:        s.saved,
	}
	if s.life.Err() == nil {
		status.NextDue = s.next
	}
	return status
}

// enter begins an operation, which ends with ctx, with Stop and, if it
// needs consent, with Withdraw. After Stop it fails.
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

// acquire waits for the token, no longer than ctx.
func (s *Sender) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s.token <- struct{}{}:
		return func() { <-s.token }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
