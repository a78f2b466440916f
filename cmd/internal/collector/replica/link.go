package replica

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
)

const (
	// A batch of few reports costs the counter nearly as much as one of many. If the
	// last one had at least gatherFrom, a receiver gathers for up to gatherFor, until
	// there are as many. Otherwise a report is sent at once.
	gatherFor  = 2 * time.Millisecond
	gatherFrom = 8
	// While a batch is not answered, the counter is busy, and the next reports would
	// wait there as well. So they wait here, for as long as the answer takes, at most
	// for holdFor: an answer may also wait for something else, such as an import.
	holdFor = 20 * time.Millisecond
	// maxBatch bounds the reports of a batch.
	maxBatch = 1024
	// The counter answers an empty batch at once. A link is broken if nothing has come
	// for maxSilence, although one is sent every pingEvery.
	pingEvery  = time.Second
	maxSilence = 5 * time.Second
	// upgradeTo is the protocol of a link. A later version that is more than new fields
	// gets another name, and counters then answer both for as long as they support
	// rolling updates from this one.
	upgradeTo = "rollcall-link/1"
)

var dialer = &net.Dialer{Timeout: connectTimeout}

// A link is a connection of a receiver to the counter.
type link struct {
	replica *Replica
	address string
	conn    io.ReadWriteCloser
	queue   chan *pending
	ctx     context.Context // ends when the link breaks
	cancel  context.CancelFunc

	mu      sync.Mutex
	sent    map[uint64][]*pending // batches that are not answered
	heard   atomic.Int64          // when something came, in nanoseconds since started
	started time.Time
	wanted  atomic.Int64  // reports that write waits for; 0 if it does not
	enough  chan struct{} // has an element if there may be as many, or all batches are answered
}

// A pending report waits for its outcome.
type pending struct {
	report counter.Report
	done   chan outcome // has room for one
}

// connect opens a link to the replica at an address, which has to lead.
func (r *Replica) connect(ctx context.Context, address string) (*link, error) {
	l := &link{
		replica: r, address: address, queue: make(chan *pending, maxBatch), sent: make(map[uint64][]*pending),
		started: time.Now(), enough: make(chan struct{}, 1),
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	timer := time.AfterFunc(connectTimeout, l.cancel)
	request, err := http.NewRequestWithContext(l.ctx, http.MethodGet, "https://"+address+linkPath, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", upgradeTo)
	response, err := r.client.Do(request)
	if err != nil {
		l.cancel()
		return nil, err
	}
	conn, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode != http.StatusSwitchingProtocols || !ok || !timer.Stop() {
		response.Body.Close()
		l.cancel()
		return nil, fmt.Errorf("%w: it answers %s", errMoved, response.Status)
	}
	l.conn = conn
	context.AfterFunc(l.ctx, func() { conn.Close() })
	go l.read()
	go l.write()
	go l.watch()
	return l, nil
}

// watch ends a link that stays silent for too long, even while write blocks
// because the peer reads nothing.
func (l *link) watch() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if time.Since(l.started)-time.Duration(l.heard.Load()) > maxSilence {
				l.cancel()
				return
			}
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *link) count(ctx context.Context, r counter.Report) (counter.Outcome, error) {
	p := &pending{report: r, done: make(chan outcome, 1)}
	select {
	case l.queue <- p:
		if n := l.wanted.Load(); n > 0 && len(l.queue) >= int(n) {
			l.wake()
		}
	case <-l.ctx.Done():
		return counter.Outcome{}, errMoved
	case <-ctx.Done():
		return counter.Outcome{}, ctx.Err()
	}
	select {
	case o := <-p.done:
		err := o.err()
		return counter.Outcome{Receipt: o.Receipt, Err: err}, err
	case <-l.ctx.Done():
		return counter.Outcome{}, errMoved
	case <-ctx.Done():
		return counter.Outcome{}, ctx.Err()
	}
}

// write sends batches.
func (l *link) write() {
	defer l.cancel()
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	var c coder
	var b batch
	var list []*pending
	last := 0 // reports in the last batch
	for {
		select {
		case p := <-l.queue:
			list = l.gather(append(list[:0], p), last)
			last = len(list)
		case <-ticker.C:
			list = list[:0]
		case <-l.ctx.Done():
			return
		}
		b.ID++
		b.Refused = l.replica.refused.take()
		b.Reports = b.Reports[:0]
		for _, p := range list {
			b.Reports = append(b.Reports, p.report)
		}
		if len(list) > 0 {
			l.mu.Lock()
			l.sent[b.ID] = append([]*pending(nil), list...)
			l.mu.Unlock()
		}
		if _, err := l.conn.Write(c.frame(b.fields)); err != nil {
			return
		}
	}
}

// gather waits for more reports, and adds those that wait to a batch. Last is
// the size of the last batch.
func (l *link) gather(list []*pending, last int) []*pending {
	l.awaitMore(last)
	for len(list) < maxBatch {
		select {
		case p := <-l.queue:
			list = append(list, p)
			continue
		default:
		}
		break
	}
	return list
}

// awaitMore waits until all batches are answered, and then, unless the last
// batch was small, until as many reports wait.
func (l *link) awaitMore(last int) {
	defer l.wanted.Store(0)
	began := time.Now()
	for {
		wanted, limit := min(last, maxBatch)-1, gatherFor
		if l.busy() {
			wanted, limit = maxBatch-1, holdFor
		} else if last < gatherFrom {
			return
		}
		l.wanted.Store(int64(wanted))
		rest := limit - time.Since(began)
		if len(l.queue) >= wanted || rest <= 0 {
			return
		}
		timer := time.NewTimer(rest)
		select {
		case <-l.enough:
		case <-timer.C:
		case <-l.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// wake makes awaitMore look again.
func (l *link) wake() {
	select {
	case l.enough <- struct{}{}:
	default:
	}
}

// busy reports whether a batch is not answered yet.
func (l *link) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent) > 0
}

// read receives the outcomes.
func (l *link) read() {
	defer l.cancel()
	from := newFrameReader(bufio.NewReaderSize(l.conn, 64<<10))
	var r reply
	for {
		r = reply{Outcomes: r.Outcomes[:0]}
		if from.read(r.fields) != nil {
			return
		}
		l.heard.Store(int64(time.Since(l.started)))
		l.mu.Lock()
		list := l.sent[r.ID]
		delete(l.sent, r.ID)
		all := len(l.sent) == 0
		l.mu.Unlock()
		if len(r.Outcomes) != len(list) {
			return
		}
		for i, p := range list {
			p.done <- r.Outcomes[i]
		}
		if all && len(list) > 0 {
			l.wake()
		}
	}
}

// A follower keeps a link to the counter at an address.
type follower struct {
	address string
	cancel  context.CancelFunc
	ended   chan struct{}
}

// follow links to an address, and unlinks from another one. What waits there is
// sent to the next counter.
func (f *follower) follow(r *Replica, address string) {
	if f.cancel != nil && f.address == address {
		return
	}
	f.stop()
	ctx, cancel := context.WithCancel(r.run)
	f.address, f.cancel, f.ended = address, cancel, make(chan struct{})
	ended := f.ended
	r.running.Go(func() {
		defer close(ended)
		r.keepLink(ctx, address)
	})
}

func (f *follower) stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.ended
		f.cancel = nil
	}
}

// linkEvery is the interval of attempts to connect to the counter, which may only
// be about to count.
const linkEvery = 100 * time.Millisecond

// keepLink links to the replica at an address again and again.
func (r *Replica) keepLink(ctx context.Context, address string) {
	failures := 0
	for ctx.Err() == nil {
		l, err := r.connect(ctx, address)
		if err != nil {
			if failures++; failures == 20 { // some seconds
				r.log.Warn("The replica that counts cannot be reached", "address", address, "error", err.Error())
			}
			select {
			case <-ctx.Done():
			case <-time.After(linkEvery):
			}
			continue
		}
		if failures = 0; ctx.Err() == nil {
			r.log.Info("This replica receives for the one that counts", "address", address)
		}
		r.current.set(l)
		<-l.ctx.Done()
		r.current.clear(l)
		r.look() // perhaps it has handed over
	}
}
