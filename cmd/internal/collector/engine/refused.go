package engine

import (
	"maps"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// maxReasons bounds the reasons that Refuse distinguishes per app; the rest are
// collector.Other.
const maxReasons = 50

// A refusals counts refused reports by app and reason, until they become part
// of the day. It is safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	byApp map[collector.AppNum]map[string]uint64
}

// Refuse counts a report that was refused before it got here. App is 0 if it is
// unknown.
func (e *Engine) Refuse(app collector.AppNum, reason string) { e.RefuseMany(app, reason, 1) }

// RefuseMany is Refuse of n reports.
func (e *Engine) RefuseMany(app collector.AppNum, reason string, n int) {
	e.refused.mu.Lock()
	defer e.refused.mu.Unlock()
	reasons := e.refused.byApp[app]
	if _, ok := reasons[reason]; !ok && len(reasons) >= maxReasons {
		reason = collector.Other
	}
	increase(&reasons, reason, uint64(max(n, 0)))
	if e.refused.byApp == nil {
		e.refused.byApp = make(map[collector.AppNum]map[string]uint64)
	}
	e.refused.byApp[app] = reasons
}

// refusedNow returns the refusals that are not part of the day yet.
func (e *Engine) refusedNow(app collector.AppNum) map[string]uint64 {
	e.refused.mu.Lock()
	defer e.refused.mu.Unlock()
	return maps.Clone(e.refused.byApp[app])
}

// mergeRefused makes the refusals part of the day. The journal does not have
// them: a crash may lose those of the last minute.
func (e *Engine) mergeRefused() {
	e.refused.mu.Lock()
	refused := e.refused.byApp
	e.refused.byApp = nil
	e.refused.mu.Unlock()
	for app, reasons := range refused {
		f, err := e.fleet(app)
		if err != nil {
			continue // only the server's metrics have it
		}
		f.mu.Lock()
		f.open.add(&dayCounters{Refused: reasons})
		f.revision++
		f.mu.Unlock()
		e.unsaved.Store(true)
	}
}
