package limit

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// floodEvery is the least time between two log lines of a [Flood].
const floodEvery = time.Minute

// A Flood logs that something is refused because there is too much of it: the
// first refusal at once, and those after it in a line a minute at most, which
// follows even if nothing else does. It is safe for concurrent use.
type Flood struct {
	log *slog.Logger

	mu     sync.Mutex
	counts map[string]int // since the last line
	quiet  bool           // a line is less than floodEvery ago
}

// NewFlood returns a flood that logs to log.
func NewFlood(log *slog.Logger) *Flood { return &Flood{log: log, counts: make(map[string]int)} }

// Note counts a refusal. The kinds are few, and known to the program.
func (f *Flood) Note(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind]++
	if !f.quiet {
		f.say()
	}
}

// say logs the counts, if there are any. The caller holds mu.
func (f *Flood) say() {
	if f.quiet = len(f.counts) > 0; !f.quiet {
		return
	}
	args := make([]any, 0, 2*len(f.counts))
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		args = append(args, kind, f.counts[kind])
	}
	clear(f.counts)
	time.AfterFunc(floodEvery, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.say()
	})
	f.log.Warn("Refusing what is too much", args...)
}
