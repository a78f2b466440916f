package replica

import (
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/report"
)

// A batch goes from a receiver to the counter. An empty one asks whether the
// counter is there.
type batch struct {
	ID      uint64
	Reports []counter.Report
	Refused []refusal
}

func (b *batch) fields(c *coder) {
	number(c, 1, &b.ID)
	list(c, 2, &b.Refused, func(c *coder, r *refusal) {
		text(c, 1, &r.App)
		text(c, 2, &r.Reason)
		number(c, 3, &r.N)
	})
	list(c, 3, &b.Reports, reportFields)
}

// reportFields encodes a report. It carries the installation's key instead of
// its ID.
func reportFields(c *coder, r *counter.Report) {
	if r.Heartbeat != nil || c.reading {
		one(c, 1, func() {
			if c.reading {
				r.Heartbeat = &collector.Received{}
			}
			heartbeatFields(c, r.Heartbeat)
		})
	}
	if r.Health != nil || c.reading {
		one(c, 2, func() {
			if c.reading {
				r.Health = &collector.ReceivedHealth{}
			}
			healthFields(c, r.Health)
		})
	}
}

// commonFields are those that both kinds of report have.
func commonFields(c *coder, key *collector.Key, app *string, schema *int, persistence *report.Persistence, sentAt *time.Time, version *string) {
	fixed(c, 1, key[:])
	text(c, 2, app)
	number(c, 3, schema)
	text(c, 4, persistence)
	instant(c, 5, sentAt)
	text(c, 6, version)
}

func heartbeatFields(c *coder, r *collector.Received) {
	h := &r.Heartbeat
	commonFields(c, &r.Key, &h.App, &h.Schema, &h.IDPersistence, &h.SentAt, &h.Version)
	text(c, 7, &h.Platform.System)
	text(c, 8, &h.Platform.Release)
	text(c, 9, &h.Platform.Machine)
	text(c, 10, &h.Deployment)
	text(c, 11, &h.Client.Name)
	text(c, 12, &h.Client.Version)
	list(c, 13, (*[]report.FactValue)(&h.Facts), func(c *coder, f *report.FactValue) {
		text(c, 1, &f.Name)
		text(c, 2, &f.Value)
	})
	droppedFields(c, 14, &r.Dropped)
	text(c, 15, &r.Country)
	flag(c, 16, &r.Legacy)
	flag(c, 17, &r.Exported)
	number(c, 18, &r.Prefix)
}

func healthFields(c *coder, r *collector.ReceivedHealth) {
	h := &r.Report
	commonFields(c, &r.Key, &h.App, &h.Schema, &h.IDPersistence, &h.SentAt, &h.Version)
	list(c, 7, &h.Faults, faultFields)
	droppedFields(c, 8, &r.Dropped)
	flag(c, 9, &r.Legacy)
	list(c, 10, &r.Events, func(c *coder, events *[]string) {
		list(c, 1, events, func(c *coder, event *string) { text(c, 1, event) })
	})
	text(c, 11, &r.Batch)
	number(c, 12, &r.Prefix)
}

func faultFields(c *coder, f *report.Fault) {
	text(c, 1, &f.Source)
	text(c, 2, &f.Component)
	text(c, 3, &f.Reason)
	text(c, 4, &f.Stage)
	text(c, 5, &f.Severity)
	number(c, 6, &f.Count)
	instant(c, 7, &f.Since)
	instant(c, 8, &f.First)
	instant(c, 9, &f.Last)
	pairs := make([][2]string, 0, len(f.Context))
	for key, value := range f.Context {
		pairs = append(pairs, [2]string{key, value})
	}
	list(c, 10, &pairs, func(c *coder, p *[2]string) {
		text(c, 1, &p[0])
		text(c, 2, &p[1])
	})
	if c.reading && len(pairs) > 0 {
		f.Context = make(map[string]string, len(pairs))
		for _, p := range pairs {
			f.Context[p[0]] = p[1]
		}
	}
}

func droppedFields(c *coder, field protowire.Number, d *report.Dropped) {
	if *d != (report.Dropped{}) || c.reading {
		one(c, field, func() {
			number(c, 1, &d.Fields)
			number(c, 2, &d.Facts)
			number(c, 3, &d.Context)
		})
	}
}

// A reply goes back. Outcomes are those of the batch's reports, in order.
type reply struct {
	ID       uint64
	Outcomes []outcome
}

func (r *reply) fields(c *coder) {
	number(c, 1, &r.ID)
	list(c, 2, &r.Outcomes, func(c *coder, o *outcome) {
		text(c, 1, &o.Code)
		text(c, 2, &o.Reason)
		number(c, 3, &o.Wait)
		flag(c, 4, &o.Receipt.Repeated)
		flag(c, 5, &o.Receipt.New)
		number(c, 6, &o.Receipt.Counted)
		number(c, 7, &o.Receipt.Known)
	})
}

// An outcome is a [counter.Outcome].
type outcome struct {
	// Code names the error; empty is none.
	Code    string
	Reason  string        // of a [collector.LimitError]
	Wait    time.Duration // of a [collector.LimitError]
	Receipt collector.Receipt
}

// The codes of errors that keep their identity on the way.
const (
	codeLimit = "limit"
	codeMoved = "moved"
	codeOther = "other"
)

var codes = map[string]error{
	"unknown_app": collector.ErrUnknownApp,
	"gone":        collector.ErrGone,
	"refused_id":  collector.ErrRefusedID,
	"new_limit":   collector.ErrNewLimit,
	"busy":        collector.ErrBusy,
	"unavailable": collector.ErrUnavailable,
}

func outcomeOf(o counter.Outcome) outcome {
	out := outcomeOfError(o.Err)
	out.Receipt = o.Receipt
	return out
}

func outcomeOfError(err error) outcome {
	limited, isLimited := errors.AsType[*collector.LimitError](err)
	switch {
	case err == nil:
		return outcome{}
	case hasMoved(err):
		return outcome{Code: codeMoved}
	case isLimited:
		return outcome{Code: codeLimit, Reason: limited.Reason, Wait: limited.Wait}
	}
	for code, known := range codes {
		if errors.Is(err, known) {
			return outcome{Code: code}
		}
	}
	return outcome{Code: codeOther}
}

// hasMoved reports whether an error of a counter means that another one will count.
func hasMoved(err error) bool {
	return errors.Is(err, errMoved) || errors.Is(err, collector.ErrClosed) || errors.Is(err, collector.ErrLost)
}

func (o outcome) err() error {
	switch o.Code {
	case "":
		return nil
	case codeLimit:
		return &collector.LimitError{Reason: o.Reason, Wait: o.Wait}
	case codeMoved:
		return errMoved
	}
	if err, ok := codes[o.Code]; ok {
		return err
	}
	return collector.ErrUnavailable // the counter has logged what it is
}

// A refusal counts reports that receivers refused.
type refusal struct {
	App, Reason string
	N           int
}

// maxRefusals bounds the pairs of app and reason that wait to be sent. Names of
// apps come from strangers.
const maxRefusals = 1000

// refusals collects refusals until a link takes them. It is safe for concurrent
// use.
type refusals struct {
	mu     sync.Mutex
	counts map[[2]string]int
}

func (r *refusals) add(app, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[[2]string]int)
	}
	key := [2]string{app, reason}
	if _, ok := r.counts[key]; !ok && len(r.counts) >= maxRefusals {
		key = [2]string{"", collector.Other}
	}
	r.counts[key]++
}

func (r *refusals) take() []refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.counts) == 0 {
		return nil
	}
	list := make([]refusal, 0, len(r.counts))
	for key, n := range r.counts {
		list = append(list, refusal{key[0], key[1], n})
	}
	r.counts = nil
	return list
}
