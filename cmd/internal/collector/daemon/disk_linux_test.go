package daemon_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

var unlimited = counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}

// report sends a heartbeat of installation n and returns the status.
func report(t *testing.T, d *daemon.Daemon, n int) int {
	t.Helper()
	text := strings.Replace(fullHeartbeat(), "11111111-", fmt.Sprintf("%08x-", n), 1)
	response, err := http.Post("http://"+d.Addr().String()+"/v1/heartbeat", "application/json", strings.NewReader(text))
	read(t, response, err)
	return response.StatusCode
}

// A collector on a small disk acknowledges what it can keep. When the disk is
// full it refuses, also after a restart, and it recovers when there is space.
func TestSmallDisk(t *testing.T) {
	lab.Need(t, lab.Root)
	dir := lab.Tmpfs(t, "size=8m")
	var log syncbuffer.Buffer
	opts := daemon.Options{
		Dir: filepath.Join(dir, "data"), Listen: loopback, Limits: unlimited, Wait: true,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	d, stop := start(t, opts)
	if _, err := d.Collector().AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	fillDisk(t, ballast, 2300<<10)
	acknowledged := 0
	for report(t, d, acknowledged) == http.StatusOK {
		if acknowledged++; acknowledged > 100_000 {
			t.Fatal("the disk does not get full")
		}
	}
	if acknowledged < 100 {
		t.Errorf("got %d acknowledged, want some hundreds on 2 MB", acknowledged)
	}
	for i := range 20 {
		if status := report(t, d, 200_000+i); status != http.StatusServiceUnavailable {
			t.Errorf("on a full disk: got %d", status)
		}
	}
	wantApps(t, opts.Dir)
	for range 2 { // the housekeeping fails several times
		response, err := http.Get("http://" + d.Addr().String() + "/readyz")
		if read(t, response, err); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("/readyz on a full disk: got %s", response.Status)
		}
		if status := report(t, d, 300_000); status != http.StatusServiceUnavailable {
			t.Errorf("after a probe: got %d", status)
		}
		time.Sleep(2100 * time.Millisecond) // longer than the answer of /readyz is kept
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "\n"); n > 12 {
		t.Errorf("got %d lines in the log:\n%s", n, &log)
	}

	var verb *datadir.Dir
	for verb == nil {
		// Other programs take the rest, so that not even the database can be opened.
		others := filepath.Join(dir, "others")
		fillDisk(t, others, 0)
		d, stop = start(t, opts)
		if status := report(t, d, 1); status != http.StatusServiceUnavailable {
			t.Errorf("after a restart without space: got %d", status)
		}
		if response, err := http.Get("http://" + d.Addr().String() + "/healthz"); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("/healthz: %v, %v", response, err)
		}
		if err := errors.Join(os.RemoveAll(ballast), os.Remove(others)); err != nil {
			t.Fatal(err)
		}
		// A verb that has the data open meanwhile, such as a check, is waited for.
		var err error
		verb, err = datadir.Open(t.Context(), opts.Dir, datadir.Options{})
		if errors.Is(err, sqlite.ErrInUse) { // the collector was faster
			err = stop()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(6 * time.Second) // longer than the time between two attempts
	verb.Close()
	deadline := time.Now().Add(time.Minute)
	for report(t, d, 300_000) != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatalf("it did not recover: %s", &log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	wantApps(t, opts.Dir)
	app, _ := d.Collector().App("myapp")
	for n := range acknowledged {
		id := fmt.Sprintf("%08x-1111-4111-8111-111111111111", n)
		if known, err := d.Collector().Known(t.Context(), app.Num, id); err != nil || !known {
			t.Fatalf("installation %d of %d was acknowledged and is lost: %v", n, acknowledged, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// fillDisk writes a file until so many bytes are free.
func fillDisk(t *testing.T, file string, free int64) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(file), &fs); err != nil {
		t.Fatal(err)
	}
	if n := int64(fs.Bavail)*fs.Bsize - free; n > 0 {
		if err := os.WriteFile(file, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// wantApps checks that the verbs reach the collector.
func wantApps(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		client, err := control.Connect(t.Context(), dir, datadir.Options{})
		if err == nil {
			defer client.Close()
			if apps, err := client.Apps(t.Context()); err != nil || len(apps) != 1 {
				t.Errorf("app list: got %v, %v", apps, err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the verbs: %v", err)
		}
	}
}

// A disk without hard links, owners, and modes, such as a USB stick, will do.
func TestWithoutHardLinks(t *testing.T) {
	lab.Need(t, lab.Root, lab.FUSEDevice, lab.LoopDevices, lab.Tool("mkfs.exfat"), lab.Tool("mount.exfat-fuse"))
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	run("mkfs.exfat", image)
	device := run("losetup", "--find", "--show", image)
	t.Cleanup(func() { exec.Command("losetup", "--detach", device).Run() })
	run("mount.exfat-fuse", device, dir)
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })

	data := filepath.Join(dir, "data")
	d, stop := start(t, daemon.Options{Dir: data, Listen: loopback})
	if _, err := d.Collector().AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	if status := report(t, d, 1); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	wantApps(t, data)
	client, err := control.Connect(t.Context(), data, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Backup(t.Context(), filepath.Join(dir, "backup"), control.BackupOptions{}); err != nil {
		t.Errorf("backup: %v", err)
	}
	if err := client.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	_, stop = start(t, daemon.Options{Dir: data, Listen: loopback})
	wantApps(t, data)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Two data directories with one database, as hard links make them, do not both
// serve.
func TestHardLinkedDatabase(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	_, stop := start(t, daemon.Options{Dir: first, Listen: loopback})
	for _, name := range []string{datadir.DatabaseFile, datadir.SecretFile} {
		if err := os.Link(filepath.Join(first, name), filepath.Join(second, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := daemon.Open(t.Context(), daemon.Options{Dir: second, Listen: loopback}); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	// A copy made of hard links, which nobody serves from, does no harm.
	_, stop = start(t, daemon.Options{Dir: first, Listen: loopback})
	if err := stop(); err != nil {
		t.Error(err)
	}
}
