package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
)

// A verb sends nothing to what somebody else's control file names.
func TestPlantedControlFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no owner and mode here")
	}
	dir := t.TempDir()
	listen(t, dir)
	path := filepath.Join(dir, datadir.ControlFile)
	genuine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	planted := map[string]func() error{
		"readable": func() error { return os.Chmod(path, 0o644) },
		"a link": func() error {
			elsewhere := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(elsewhere, genuine, 0o600); err != nil {
				return err
			}
			return errors.Join(os.Remove(path), os.Symlink(elsewhere, path))
		},
		"elsewhere": func() error {
			return os.WriteFile(path, []byte(`{"address":"192.0.2.1:80","token":"a"}`), 0o600)
		},
		"a name": func() error {
			return os.WriteFile(path, []byte(`{"address":"localhost:80","token":"a"}`), 0o600)
		},
	}
	if os.Geteuid() == 0 {
		planted["of another user"] = func() error { return os.Chown(path, 1234, 1234) }
	}
	for name, plant := range planted {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		client, err := control.Connect(t.Context(), dir, datadir.Options{})
		if !errors.Is(err, control.ErrUntrusted) {
			t.Errorf("%s: got %v, want ErrUntrusted", name, err)
		}
		if err == nil {
			client.Close()
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, genuine, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	client, err := control.Connect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	// The collector may run as another user than root.
	if os.Geteuid() == 0 {
		for _, file := range []string{path, filepath.Join(dir, datadir.DatabaseFile)} {
			if err := os.Chown(file, 1234, 1234); err != nil {
				t.Fatal(err)
			}
		}
		client, err := control.Connect(t.Context(), dir, datadir.Options{})
		if err != nil {
			t.Fatalf("of the database's user: %v", err)
		}
		client.Close()
	}
}
