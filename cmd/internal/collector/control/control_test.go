package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
)

// listen runs a collector with a control server, as another process would.
func listen(t *testing.T, dir string) {
	t.Helper()
	d, err := datadir.Open(t.Context(), dir, datadir.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	s := control.NewServer(d, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
}

// Of many first starts at once, one creates the secret, and all use it.
func TestFirstStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := control.Connect(t.Context(), dir, datadir.Options{Create: true})
			if err != nil {
				// On a slow machine, not all eight get their turn in time.
				if !strings.Contains(err.Error(), "another collector") {
					t.Error(err)
				}
				return
			}
			client.Close()
		})
	}
	wg.Wait()
	client, err := control.Connect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

// A collector that takes more than five seconds to answer, as on a machine that
// stalls, is asked once more.
func TestConnectToASlowCollector(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := datadir.Open(t.Context(), dir, datadir.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	began := time.Now()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if time.Since(began) < 5*time.Second {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(slow.Close)
	file := fmt.Appendf(nil, `{"address":%q,"token":"a"}`, slow.Listener.Addr())
	if err := os.WriteFile(filepath.Join(dir, datadir.ControlFile), file, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := control.Connect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestServerRequiresToken(t *testing.T) {
	dir := t.TempDir()
	listen(t, dir)
	file := filepath.Join(dir, "rollcall.control")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("got mode %o of %s, want 600", mode, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"address":"`)
	address, _, _ := strings.Cut(rest, `"`)
	for _, header := range []string{"", "Bearer ", "Bearer wrong"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/apps", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("with %q: got status %d, want 403", header, response.StatusCode)
		}
	}
}

// Commands have the same results whether or not another process runs the
// collector.
func TestClient(t *testing.T) {
	for _, running := range []bool{true, false} {
		dir := t.TempDir()
		if running {
			listen(t, dir)
		}
		client, err := control.Connect(t.Context(), dir, datadir.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if _, err := client.AddApp(ctx, collector.App{Key: "myapp"}); err != nil {
			t.Error(err)
		}
		if _, err := client.AddApp(ctx, collector.App{Key: "myapp"}); !errors.Is(err, collector.ErrAppExists) {
			t.Errorf("add an app twice: got %v, want ErrAppExists", err)
		}
		if _, err := client.ChangeApp(ctx, "other", func(*collector.App) {}); !errors.Is(err, collector.ErrUnknownApp) {
			t.Errorf("update an unknown app: got %v, want ErrUnknownApp", err)
		}
		if _, err := client.AddToken(ctx, control.NewToken{Name: "me", Scope: access.Read}); err != nil {
			t.Error(err)
		}
		if err := client.RevokeToken(ctx, access.AnyApp, "you"); !errors.Is(err, access.ErrNoToken) {
			t.Errorf("revoke an unknown token: got %v, want ErrNoToken", err)
		}
		if err := client.Check(ctx); err != nil {
			t.Error(err)
		}
		client.Close()
	}
}

// Concurrent changes keep each other.
func TestChangesAtOnce(t *testing.T) {
	dir := t.TempDir()
	listen(t, dir)
	client, err := control.Connect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			if _, err := client.ChangeApp(t.Context(), "myapp", func(app *collector.App) { app.Name += string(rune('a' + n)) }); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			_, err := client.ChangeDeclared(t.Context(), "myapp", func(d *collector.Declarations) (bool, error) {
				d.AddRelease(collector.DeclaredRelease{Version: fmt.Sprint("1.", n)})
				return true, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	app, err := client.App(t.Context(), "myapp")
	if err != nil || len(app.Name) != 10 {
		t.Errorf("got %+v, %v, want ten letters in its name", app, err)
	}
	if declared, err := client.Declared(t.Context(), "myapp"); err != nil || len(declared.Releases) != 10 {
		t.Errorf("got %+v, %v, want ten releases", declared, err)
	}
}

// A backup that fails leaves nothing behind.
func TestFailedBackup(t *testing.T) {
	dir := t.TempDir()
	client, err := control.Connect(t.Context(), filepath.Join(dir, "data"), datadir.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Backup(ctx, filepath.Join(dir, "copy"), control.BackupOptions{}); err == nil {
		t.Error("got no error from a canceled backup")
	}
	if _, err := os.Stat(filepath.Join(dir, "copy")); err == nil {
		t.Error("the directory still exists")
	}
}

// An import reads what an export wrote, and rejects an incomplete archive.
func TestImportOfIncompleteArchive(t *testing.T) {
	client, err := control.Connect(t.Context(), t.TempDir(), datadir.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	whole := `{"archive":"rollcall totals","version":1,"app":"myapp"}
{"kind":"total","day":"2026-05-04","data":{"active":[10,10,10,10],"new":10}}
{"kind":"release","name":"1.0.0","data":{}}
{"records":2}
`
	for n := range len(whole) - 1 {
		_, err := client.Import(t.Context(), "myapp", strings.NewReader(whole[:n]))
		if !errors.Is(err, collector.ErrArchive) {
			t.Fatalf("the first %d bytes: got %v, want ErrArchive", n, err)
		}
	}
	var before strings.Builder
	if err := client.Export(t.Context(), "myapp", &before); err != nil {
		t.Fatal(err)
	}
	done, err := client.Import(t.Context(), "myapp", strings.NewReader(whole))
	if err != nil || done.Days != 1 {
		t.Errorf("got %+v, %v, want 1 day", done, err)
	}
}

// No archive with a changed byte is imported.
func TestImportOfDamagedArchive(t *testing.T) {
	client, err := control.Connect(t.Context(), t.TempDir(), datadir.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, key := range []string{"from", "to"} {
		if _, err := client.AddApp(t.Context(), collector.App{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	first := `{"archive":"rollcall totals","version":1,"app":"from"}
{"kind":"total","day":"2026-05-04","data":{"active":[10,10,10,10],"new":10}}
{"kind":"release","name":"1.0.0","data":{}}
{"records":2}
`
	if _, err := client.Import(t.Context(), "from", strings.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	var exported strings.Builder
	if err := client.Export(t.Context(), "from", &exported); err != nil {
		t.Fatal(err)
	}
	whole := []byte(exported.String())
	for i := range whole {
		for _, flip := range []byte{1, 0x20, 0x80} {
			damaged := slices.Clone(whole)
			damaged[i] ^= flip
			if _, err := client.Import(t.Context(), "to", bytes.NewReader(damaged)); err == nil {
				t.Fatalf("byte %d changed from %q to %q: imported", i, whole[i], damaged[i])
			}
		}
	}
	if done, err := client.Import(t.Context(), "to", bytes.NewReader(whole)); err != nil || done.Days != 1 {
		t.Errorf("got %+v, %v, want 1 day", done, err)
	}
}
