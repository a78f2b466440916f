package durable_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The collector's user owns what root creates in its directory.
func TestRootLeavesNothingOfItsOwn(t *testing.T) {
	lab.Need(t, lab.Root)
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(filepath.Join(dir, "created"), nil); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(filepath.Join(dir, "replaced"), nil); err != nil {
		t.Fatal(err)
	}
	temp, err := durable.TempDir(dir, ".temp-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(dir, "created"), filepath.Join(dir, "replaced"), temp} {
		info, err := os.Stat(name)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 {
			t.Errorf("%s: got %+v, %v, want the directory's owner", name, info.Sys(), err)
		}
	}
}
