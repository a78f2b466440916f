package process

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a file that may change is looked at, at most: when it is used.
const lookEvery = 10 * time.Second

// A watched value is made of files, and made again when one of them has changed. It is safe for concurrent use.
type watched[T any] struct {
	files []string
	load  func() (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	value  T
	seen   []fileState
	looked time.Time
}

// A fileState is what shows that a file has changed.
type fileState struct {
	modified time.Time
	size     int64
}

// watch loads the value for the first time; the error is that of load.
func watch[T any](log *slog.Logger, load func() (T, error), files ...string) (*watched[T], error) {
	w := &watched[T]{files: files, load: load, log: log, seen: states(files), looked: time.Now()}
	var err error
	w.value, err = load()
	return w, err
}

// get gives the value. When it cannot be loaded any more the last one stays.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.looked) < lookEvery {
		return w.value
	}
	w.looked = now
	seen := states(w.files)
	if same(seen, w.seen) {
		return w.value
	}
	value, err := w.load()
	if err != nil {
		// A certificate and its key are two files, and change one after the other: the next look may find both.
		w.log.Warn("Changed file cannot be read; the last version stays in use", "file", w.files[0], "error", err.Error())
		return w.value
	}
	w.log.Info("Changed file is in use", "file", w.files[0])
	w.value, w.seen = value, seen
	return w.value
}

func states(files []string) []fileState {
	list := make([]fileState, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			list[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return list
}

func same(a, b []fileState) bool {
	for i := range a {
		if a[i].size != b[i].size || !a[i].modified.Equal(b[i].modified) {
			return false
		}
	}
	return true
}
