package agent

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

const (
	// readAgain is how long what the host set is used without reading it again.
	// Another agent, or a verb, may share the file.
	readAgain = 2 * time.Second
	// readAgainTimeout bounds that: all facts together have a second.
	readAgainTimeout = 250 * time.Millisecond
	// keepTimeout bounds a write of what the host set.
	keepTimeout = 10 * time.Second
)

// A HostStore keeps what a host set, such as a [rollcall.Service].
type HostStore interface {
	LoadHostValues(ctx context.Context) ([]byte, error)
	SaveHostValues(ctx context.Context, values []byte) error
	SetVersion(version string)
}

// A Host is what the host beside an agent says about itself: its version, and
// the values of the facts that a file declares. Both are kept over restarts.
// Create it with [NewHost]. It is safe for concurrent use.
type Host struct {
	declaration *report.Declaration
	version     string // as configured
	store       HostStore

	turn   chan struct{} // holds an item while somebody uses the fields below
	set    hostValues
	readAt time.Time // zero before the first read
}

// hostValues are the content of the file. The facts have the host's own values,
// and not what is sent of them, because a later declaration may have other
// bounds.
type hostValues struct {
	Version string         `json:"version,omitempty"`
	Facts   map[string]any `json:"facts,omitempty"`
}

// NewHost returns a host with the declared facts, and a version that is used
// until the host sets one. A nil declaration has no facts.
func NewHost(declaration *report.Declaration, version string) *Host {
	return &Host{declaration: declaration, version: version, turn: make(chan struct{}, 1)}
}

// Facts returns the facts for [rollcall.Config], whose values are those that
// the host set.
func (h *Host) Facts() (facts []rollcall.Fact) {
	for _, declared := range h.declaration.Facts() {
		facts = append(facts, rollcall.Fact{Declaration: declared, Value: func(ctx context.Context) (any, error) {
			set, err := h.current(ctx)
			return set.Facts[declared.Name], err
		}})
	}
	return facts
}

// Use says where values are kept. It must be called once, before anything else
// but Facts.
func (h *Host) Use(store HostStore) { h.store = store }

// Load reads what the host set, and makes its version that of the reports.
func (h *Host) Load(ctx context.Context) error {
	_, err := h.current(ctx)
	return err
}

// current returns what the host set. While the disk hangs, that is what was
// known before.
func (h *Host) current(ctx context.Context) (hostValues, error) {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return hostValues{}, ctx.Err()
	}
	defer func() { <-h.turn }()
	err := h.read(ctx)
	return h.set, err
}

// read reads the file unless that was done a moment ago. It is the caller's
// turn.
func (h *Host) read(ctx context.Context) error {
	known := !h.readAt.IsZero()
	if known {
		if time.Since(h.readAt) < readAgain {
			return nil
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readAgainTimeout)
		defer cancel()
	}
	data, err := h.store.LoadHostValues(ctx)
	switch {
	case err != nil && known:
		h.readAt = time.Now()
		return nil
	case err != nil:
		return err
	}
	var set hostValues
	if len(data) > 0 && json.Unmarshal(data, &set) != nil {
		set = hostValues{} // damaged, or of another version: the host sets it again
	}
	h.adopt(set)
	return nil
}

func (h *Host) adopt(set hostValues) {
	h.set, h.readAt = set, time.Now()
	if set.Version == "" {
		set.Version = h.version
	}
	h.store.SetVersion(set.Version)
}

// change keeps what the host set, changed by edit. If that fails, everything
// stays as it is.
func (h *Host) change(ctx context.Context, edit func(*hostValues)) error {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.turn }()
	if err := h.read(ctx); err != nil {
		return err
	}
	set := h.set
	edit(&set)
	data, err := json.Marshal(set)
	if err != nil {
		return err
	}
	if err := h.store.SaveHostValues(ctx, data); err != nil {
		return err
	}
	h.adopt(set)
	return nil
}

// A fieldError is a mistake in a field of a request.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// checkFacts returns what would be sent of the values, or the first mistake in
// the order of the names.
func (h *Host) checkFacts(values map[string]any) (report.Facts, error) {
	declared := make(map[string]report.Fact)
	for _, fact := range h.declaration.Facts() {
		declared[fact.Name] = fact
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fact, ok := declared[name]
		if !ok {
			reason := "not declared in the file of --facts"
			if len(declared) == 0 {
				reason = "no facts are declared; start the agent with --facts"
			}
			return nil, &fieldError{name, reason}
		}
		if err := fact.Accept(values[name]); err != nil {
			return nil, &fieldError{name, err.Error()}
		}
	}
	return h.declaration.Encode(values), nil
}
