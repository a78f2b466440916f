package rollcall

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/report"
)

// unlistedReason is the reason of a fault whose message has no code.
const unlistedReason = "unlisted"

// FaultHandlerOptions configure how log records become faults.
type FaultHandlerOptions struct {
	// Source and Component are the codes of the faults. They are required:
	// nothing is counted unless both are valid. Stage may be empty.
	Source, Component, Stage string
	// Level is the lowest level that is counted; nil means slog.LevelWarn.
	// Records from slog.LevelError on are of severity error, those from
	// slog.LevelWarn on warnings, and others info.
	Level slog.Leveler
	// Reasons maps messages to codes; messages themselves are never sent. A
	// message without a valid code is counted as "unlisted".
	Reasons map[string]string
	// ComponentKey and StageKey name attributes whose values, if they are
	// codes, replace Component and Stage; empty for none.
	ComponentKey, StageKey string
	// ContextKeys name attributes whose values, if they are codes, become the
	// context of the fault. The keys must be in Reporting.FaultContext too.
	ContextKeys []string
}

// FaultHandler returns a slog.Handler that counts warnings and errors as
// faults of the service and passes every record on to next, or discards it if
// next is nil. Counting costs no more than [Service.ReportFault]. With a nil
// service it returns next. Rollcall's own records are never counted, even if
// they come through this handler, unless package log passes them on.
//
// Do not wrap Go's initial default handler and install the result with
// [slog.SetDefault]: the two then call each other, and the first record
// deadlocks. Wrap a handler of your own, such as a slog.TextHandler.
func FaultHandler(service *Service, next slog.Handler, opts FaultHandlerOptions) slog.Handler {
	if next == nil {
		next = slog.DiscardHandler
	}
	if service == nil {
		return next
	}
	if opts.Level == nil {
		opts.Level = slog.LevelWarn
	}
	opts.Reasons = maps.Clone(opts.Reasons)
	maps.DeleteFunc(opts.Reasons, func(_, reason string) bool { return !report.ValidCode(reason) })
	opts.ContextKeys = slices.Clone(opts.ContextKeys)
	return &faultHandler{service: service, next: next, opts: &opts, fault: Fault{
		Source: opts.Source, Component: opts.Component, Stage: opts.Stage, Reason: unlistedReason,
	}}
}

type faultHandler struct {
	service *Service
	next    slog.Handler
	opts    *FaultHandlerOptions
	fault   Fault // what the logger's own attributes say
	grouped bool  // inside a group an attribute of that name means something else
}

// Enabled reports true for what is counted even if next does not log it.
func (h *faultHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.opts.Level.Level() || h.next.Enabled(ctx, level)
}

func (h *faultHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= h.opts.Level.Level() && ctx.Value(ownRecord{}) == nil {
		h.count(record)
	}
	if !h.next.Enabled(ctx, record.Level) {
		return nil
	}
	return h.next.Handle(ctx, record)
}

func (h *faultHandler) count(record slog.Record) {
	fault := h.fault
	if reason, ok := h.opts.Reasons[record.Message]; ok {
		fault.Reason = reason
	}
	switch {
	case record.Level >= slog.LevelError:
		fault.Severity = report.SeverityError
	case record.Level >= slog.LevelWarn:
		fault.Severity = report.SeverityWarning
	default:
		fault.Severity = report.SeverityInfo
	}
	if h.readsAttrs() {
		owned := false
		record.Attrs(func(a slog.Attr) bool {
			h.apply(&fault, a, &owned)
			return true
		})
	}
	h.service.ReportFault(fault)
}

func (h *faultHandler) readsAttrs() bool {
	return !h.grouped && (h.opts.ComponentKey != "" || h.opts.StageKey != "" || len(h.opts.ContextKeys) > 0)
}

// apply changes a fault as an attribute says. owned reports whether the fault's
// context belongs to it alone.
func (h *faultHandler) apply(fault *Fault, a slog.Attr, owned *bool) {
	switch {
	case a.Key == "" && a.Value.Kind() == slog.KindGroup: // slog inlines a group without a name
		for _, inner := range a.Value.Group() {
			h.apply(fault, inner, owned)
		}
	case a.Key == "":
	case a.Key == h.opts.ComponentKey:
		setCode(&fault.Component, a.Value)
	case a.Key == h.opts.StageKey:
		setCode(&fault.Stage, a.Value)
	case slices.Contains(h.opts.ContextKeys, a.Key):
		var code string
		if setCode(&code, a.Value); code == "" {
			return
		}
		if !*owned {
			fault.Context, *owned = maps.Clone(fault.Context), true
		}
		if fault.Context == nil {
			fault.Context = make(map[string]string)
		}
		fault.Context[a.Key] = code
	}
}

// setCode sets code to a value that is one.
func setCode(code *string, value slog.Value) {
	if v := value.Resolve(); v.Kind() == slog.KindString && report.ValidCode(v.String()) {
		*code = v.String()
	}
}

func (h *faultHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.next = h.next.WithAttrs(attrs)
	if h.readsAttrs() {
		owned := false
		for _, a := range attrs {
			h.apply(&derived.fault, a, &owned)
		}
	}
	return &derived
}

func (h *faultHandler) WithGroup(name string) slog.Handler {
	derived := *h
	derived.next = h.next.WithGroup(name)
	derived.grouped = h.grouped || name != ""
	return &derived
}

// ownRecord is the key of a context that marks the records of a service, which
// are no faults of its host.
type ownRecord struct{}

// An ownHandler marks the records of a service.
type ownHandler struct{ slog.Handler }

func (h ownHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.Handler.Handle(context.WithValue(ctx, ownRecord{}, true), record)
}

func (h ownHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ownHandler{h.Handler.WithAttrs(attrs)}
}

func (h ownHandler) WithGroup(name string) slog.Handler { return ownHandler{h.Handler.WithGroup(name)} }
