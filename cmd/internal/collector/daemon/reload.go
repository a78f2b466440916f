package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// checkInterval is how often, at most, files in use are checked for changes.
const checkInterval = 10 * time.Second

// A reloaded value comes from files and is loaded again when one of them
// changes. It is safe for concurrent use.
type reloaded[T any] struct {
	files []string
	load  func() (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	loaded  []fileState // of the files that value comes from
	checked time.Time
}

type fileState struct {
	modified int64 // nanoseconds
	size     int64
}

// newReloaded loads the value for the first time, and returns the error of load.
func newReloaded[T any](log *slog.Logger, load func() (T, error), files ...string) (*reloaded[T], error) {
	r := &reloaded[T]{files: files, load: load, log: log, loaded: states(files), checked: time.Now()}
	var err error
	r.value, err = load()
	return r, err
}

// get returns the last value if changed files cannot be loaded.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < checkInterval {
		return r.value
	}
	r.checked = time.Now()
	found := states(r.files)
	if slices.Equal(found, r.loaded) {
		return r.value
	}
	value, err := r.load()
	if err != nil {
		// Of a certificate and its key, only one may have changed yet.
		r.log.Warn("Changed file cannot be read; the last version stays in use", "file", r.files[0], "error", err.Error())
		return r.value
	}
	r.log.Info("Changed file is in use", "file", r.files[0])
	r.value, r.loaded = value, found
	return r.value
}

func states(files []string) []fileState {
	list := make([]fileState, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			list[i] = fileState{info.ModTime().UnixNano(), info.Size()}
		}
	}
	return list
}

// countryLookup returns a function from an address to its country, an ISO
// 3166-1 code, or to "" if the database does not know the address. The database
// is in MaxMind's format and is reloaded when the file changes.
func countryLookup(file string, log *slog.Logger) (func(netip.Addr) string, error) {
	load := func() (*maxminddb.Reader, error) {
		// Not memory-mapped: the operator may overwrite the file in place.
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return maxminddb.OpenBytes(data)
	}
	db, err := newReloaded(log, load, file)
	if err != nil {
		return nil, fmt.Errorf("open country database: %w", err)
	}
	return func(address netip.Addr) string {
		var code string
		if err := db.get().Lookup(address.Unmap()).DecodePath(&code, "country", "iso_code"); err != nil || len(code) != 2 {
			return ""
		}
		return code
	}, nil
}
