package configfile_test

import (
	"context"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const attempt = 5 * time.Second // what the keeper allows for one save

var key = jsonedit.Key{"telemetry", "installation_id"}

// open opens the config in a process.
func open(t *testing.T, process *faultfs.FS) *configfile.File {
	t.Helper()
	f, err := configfile.Open(process, faultfs.Abs(configPath), configfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func keepID(v jsonedit.Value) bool { return v.Kind == jsonedit.String && isID(v.Text) }

// set sets the ID unless there is one.
func set(ctx context.Context, f *configfile.File, id string) (string, error) {
	now, _, err := f.Set(ctx, key, id, keepID)
	return now.Text, err
}

func mustSet(t *testing.T, f *configfile.File, id string) {
	t.Helper()
	if now, err := set(t.Context(), f, id); now != id || err != nil {
		t.Fatalf("set: got %q, %v, want %q", now, err, id)
	}
}

func anchorOf(t *testing.T, f *configfile.File) *anchor.Anchor {
	t.Helper()
	a, err := f.Anchor(faultfs.Abs(anchorPath), anchor.Options{Valid: isID})
	if err != nil {
		t.Fatal(err)
	}
	return a
}
