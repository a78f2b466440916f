package limit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// A flood is logged at once and then once a minute, one last time after it is
// over.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := limit.NewFlood(slog.New(slog.NewTextHandler(&log, nil)))
		lines := func() (lines []string) {
			synctest.Wait()
			for line := range strings.Lines(log.String()) {
				_, counts, _ := strings.Cut(line, `much" `)
				lines = append(lines, strings.TrimSpace(counts))
			}
			return lines
		}
		for range 1000 {
			f.Note("requests")
		}
		f.Note("connections")
		time.Sleep(59 * time.Second)
		f.Note("connections")
		time.Sleep(time.Hour)
		if got := strings.Join(lines(), "; "); got != "requests=1; connections=2 requests=999" {
			t.Errorf("got %s", got)
		}
		f.Note("requests")
		if got := lines(); len(got) != 3 || got[2] != "requests=1" {
			t.Errorf("a further flood: got %q", got)
		}
	})
}
