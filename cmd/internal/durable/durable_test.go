package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

func TestCreateAndReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	want := func(text string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
	if err := durable.Create(file, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(file, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating a file that exists: got %v, want ErrExist", err)
	}
	want("first")
	if err := durable.Replace(file, []byte("third")); err != nil {
		t.Fatal(err)
	}
	want("third")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("got %v, want no temporary file left", names)
	}
}

func TestTemp(t *testing.T) {
	dir := t.TempDir()
	temp, err := durable.Temp(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	temp.Close()
	if matches, _ := filepath.Glob(filepath.Join(dir, durable.TempPattern)); len(matches) != 1 || matches[0] != temp.Name() {
		t.Errorf("TempPattern matches %q, want %q", matches, temp.Name())
	}
}

func TestOneOfManyCreates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	var created atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := durable.Create(file, nil); err == nil {
				created.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := created.Load(); got != 1 {
		t.Errorf("%d created the file, want 1", got)
	}
}
