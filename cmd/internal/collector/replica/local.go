package replica

import (
	"context"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
)

// local is the counter while this replica leads. It answers only as long as the
// lease is valid.
type local struct {
	replica *Replica
	lead    *Lead
	lease   *lease
}

// within returns a context that also ends with the lease.
func (t *local) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.lease.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (t *local) count(ctx context.Context, r counter.Report) (counter.Outcome, error) {
	// The counter retains what it is given, and r may go to the next counter.
	if r.Heartbeat != nil {
		r.Heartbeat = new(*r.Heartbeat)
	} else {
		r.Health = new(*r.Health)
	}
	outcomes := t.countAll(ctx, []counter.Report{r})
	return outcomes[0], outcomes[0].Err
}

// countAll counts reports. Those that this replica may not answer have errMoved.
func (t *local) countAll(ctx context.Context, reports []counter.Report) []counter.Outcome {
	ctx, cancel := t.within(ctx)
	defer cancel()
	outcomes := t.lead.Counter.Count(ctx, reports)
	valid := t.lease.valid()
	for i := range outcomes {
		if !valid || hasMoved(outcomes[i].Err) {
			outcomes[i] = counter.Outcome{Err: errMoved}
		}
	}
	return outcomes
}

func (t *local) forward(w http.ResponseWriter, r *http.Request) error {
	if !t.lease.valid() {
		return errMoved
	}
	ctx, cancel := t.within(r.Context())
	defer cancel()
	t.lead.Pages.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// A question is what a receiver asks of the counter, besides reports and requests
// of clients.
type question struct {
	Kind kind `json:"kind"`
	// Keys are those of an installation, by app.
	Keys map[string]collector.Key `json:"keys,omitempty"`
	// Prefix stands for the network of the client.
	Prefix uint64 `json:"prefix,omitempty"`
	// Authorization and Cookie are the credentials of a client, and TLS says that it
	// uses TLS.
	Authorization string `json:"authorization,omitempty"`
	Cookie        string `json:"cookie,omitempty"`
	TLS           bool   `json:"tls,omitempty"`
}

type kind string

const (
	askApps       kind = "apps"
	askDescribe   kind = "describe"
	askForget     kind = "forget"
	askReady      kind = "ready"
	askMayReadAll kind = "may_read_all"
)

// An answer is what the counter says.
type answer struct {
	// Apps are all apps, if the question asks for them or lacks the key of one;
	// Incomplete says that it does.
	Apps       []collector.App    `json:"apps,omitempty"`
	Incomplete bool               `json:"incomplete,omitempty"`
	Held       []collector.Held   `json:"held,omitempty"`
	Deletion   collector.Deletion `json:"deletion,omitzero"`
	Yes        bool               `json:"yes,omitempty"`
}

func (t *local) ask(ctx context.Context, q question) (a answer, err error) {
	ctx, cancel := t.within(ctx)
	defer cancel()
	a, err = t.answer(ctx, q)
	if !t.lease.valid() || hasMoved(err) {
		return answer{}, errMoved
	}
	return a, err
}

func (t *local) answer(ctx context.Context, q question) (a answer, err error) {
	c := t.lead.Counter
	switch q.Kind {
	case askApps:
		a.Apps, err = c.Apps(ctx)
	case askReady:
		a.Yes, err = c.Ready(ctx)
	case askMayReadAll:
		a.Yes = t.lead.MayReadAll(q.request(ctx))
	case askDescribe, askForget:
		apps, err := c.Apps(ctx)
		if err != nil {
			return a, err
		}
		for _, app := range apps {
			if _, ok := q.Keys[app.Key]; !ok {
				return answer{Apps: apps, Incomplete: true}, nil
			}
		}
		lookup := counter.Lookup{KeyOf: func(app string) collector.Key { return q.Keys[app] }, Prefix: q.Prefix}
		if q.Kind == askDescribe {
			a.Held, err = c.Describe(ctx, lookup)
		} else {
			a.Deletion, err = c.Forget(ctx, lookup)
		}
		return a, err
	}
	return a, err
}

// request returns a request with the credentials in a question.
func (q question) request(ctx context.Context) *http.Request {
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://client/", nil) // the URL is valid
	r.URL.Scheme = ""
	if q.TLS {
		r.URL.Scheme = "https"
	}
	for name, value := range map[string]string{"Authorization": q.Authorization, "Cookie": q.Cookie} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}
