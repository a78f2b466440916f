package alert

import (
	"context"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// FiringRules returns since when rules of an app have fired, by [Rule.Key]; those
// that do not fire are missing.
func (w *Watcher) FiringRules(ctx context.Context, app collector.AppNum) (map[string]time.Time, error) {
	s, err := w.state(ctx, app)
	since := make(map[string]time.Time)
	for key, f := range s.Firing {
		rule, _, _ := strings.Cut(key, "\x00")
		if first, ok := since[rule]; !ok || f.Since.Before(first) {
			since[rule] = f.Since
		}
	}
	return since, err
}
