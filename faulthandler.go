package rollcall

import (
	"context"
	"log/slog"
	"maps"

	"github.com/rollcall-dev/rollcall/report"
)

// unlistedReason is the reason of a fault whose message has no code.
const unlistedReason = "unlisted"

// FaultHandlerOptions configure how log records become faults.
type FaultHandlerOptions struct {
	// Source and Component are the codes of the faults. They are required:
	// nothing is counted unless both are valid.
	Source, Component string
	// Reasons maps messages to codes; messages themselves are never sent. A
	// message without a valid code is counted as "unlisted".
	Reasons map[string]string
	// ComponentKey names an attribute whose value, if it is a code, replaces
	// Component; empty for none.
	ComponentKey string
}

// FaultHandler returns a slog.Handler that counts warnings and errors as
// faults of the service and passes every record on to next, or discards it if
// next is nil. Counting costs no more than [Service.ReportFault]. With a nil
// service it returns next.
func FaultHandler(service *Service, next slog.Handler, opts FaultHandlerOptions) slog.Handler {
	if next == nil {
		next = slog.DiscardHandler
	}
	if service == nil {
		return next
	}
	opts.Reasons = maps.Clone(opts.Reasons)
	maps.DeleteFunc(opts.Reasons, func(_, reason string) bool { return !report.ValidCode(reason) })
	return &faultHandler{service: service, next: next, opts: &opts, component: opts.Component}
}

type faultHandler struct {
	service   *Service
	next      slog.Handler
	opts      *FaultHandlerOptions
	component string
	grouped   bool // inside a group an attribute of that name means something else
}

// Enabled reports true for warnings and errors even if next does not log them:
// they are counted all the same.
func (h *faultHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.next.Enabled(ctx, level)
}

func (h *faultHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn {
		h.count(record)
	}
	if !h.next.Enabled(ctx, record.Level) {
		return nil
	}
	return h.next.Handle(ctx, record)
}

func (h *faultHandler) count(record slog.Record) {
	fault := Fault{Source: h.opts.Source, Component: h.component, Reason: unlistedReason, Severity: report.SeverityWarning}
	if reason, ok := h.opts.Reasons[record.Message]; ok {
		fault.Reason = reason
	}
	if record.Level >= slog.LevelError {
		fault.Severity = report.SeverityError
	}
	if h.opts.ComponentKey != "" && !h.grouped {
		record.Attrs(func(a slog.Attr) bool {
			fault.Component = h.componentOf(a, fault.Component)
			return true
		})
	}
	h.service.ReportFault(fault)
}

// componentOf returns the component that an attribute names, or else otherwise.
func (h *faultHandler) componentOf(a slog.Attr, otherwise string) string {
	switch {
	case a.Key == h.opts.ComponentKey:
		if v := a.Value.Resolve(); v.Kind() == slog.KindString && report.ValidCode(v.String()) {
			return v.String()
		}
	case a.Key == "" && a.Value.Kind() == slog.KindGroup: // slog inlines a group without a name
		for _, inner := range a.Value.Group() {
			otherwise = h.componentOf(inner, otherwise)
		}
	}
	return otherwise
}

func (h *faultHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.next = h.next.WithAttrs(attrs)
	if h.opts.ComponentKey != "" && !h.grouped {
		for _, a := range attrs {
			derived.component = h.componentOf(a, derived.component)
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
