package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/report"
)

// The environment of a child process.
const (
	serveVariable   = "ROLLCALL_BENCH_SERVE"   // one of the modes
	dirVariable     = "ROLLCALL_BENCH_DIR"     // the directory of the store, or the URL of its database
	profileVariable = "ROLLCALL_BENCH_PROFILE" // a file for the CPU profile of the server that counts; optional
)

// The modes of a child.
const (
	counting = "count" // without limits
	limited  = "limit" // with the default limits
	dropping = "drop"  // parses and drops

	encrypted = "tls"  // a whole collector with TLS, without limits
	bare      = "bare" // reads and answers over TLS
)

const appKey = "bench"

var secret = bytes.Repeat([]byte("s"), 32)

func TestMain(m *testing.M) {
	mode := os.Getenv(serveVariable)
	if mode == "" {
		pgserver.Main(m)
	}
	if err := serve(mode, os.Getenv(dirVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve serves until standard input ends.
func serve(mode, dir string) error {
	if name := os.Getenv(profileVariable); name != "" && (mode == counting || mode == encrypted) {
		file, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch mode {
	case encrypted:
		return serveEncrypted(dir)
	case bare:
		return serveBare(dir)
	}
	handler := http.Handler(http.HandlerFunc(drop))
	if mode != dropping {
		c, closeAll, err := openStore(context.Background(), dir)
		if err != nil {
			return err
		}
		defer closeAll()
		<-c.Warm() // reading the rows is measured with the start
		var limits counter.Limits
		if mode == counting {
			limits = counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}
		}
		s, err := server.New(server.Options{Collector: c, Access: access.New(c, nil), Limits: limits})
		if err != nil {
			return err
		}
		handler = s.Handler()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: handler}
	go web.Serve(l)
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return web.Shutdown(context.Background())
}

// drop is the baseline: what any server has to do that receives a
// heartbeat.
func drop(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, report.MaxHeartbeatBytes))
	if err == nil {
		_, _, err = report.ParseHeartbeat(body)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"ok"}`)
}

// openStore opens a collector on SQLite, or on PostgreSQL if dir is a URL,
// and returns a function that closes both.
func openStore(ctx context.Context, dir string) (*engine.Engine, func() error, error) {
	var store collector.Store
	var err error
	if postgres.IsURL(dir) {
		store, err = openDatabase(ctx, dir)
	} else {
		store, err = sqlite.Open(ctx, filepath.Join(dir, "rollcall.db"), sqlite.Options{})
	}
	if err != nil {
		return nil, nil, err
	}
	c, err := engine.Open(ctx, store, engine.Options{Secret: secret})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return c, func() error { return errors.Join(c.Close(context.Background()), store.Close()) }, nil
}

// openDatabase leads in a database for the rest of the process.
func openDatabase(ctx context.Context, url string) (collector.Store, error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, err
	}
	return db.Take(ctx, "bench", time.Hour)
}

// A child is a server in a process of its own.
type child struct {
	t        *testing.T
	cmd      *exec.Cmd
	stdin    io.Closer
	endpoint string
}

func startChild(t *testing.T, mode, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+mode, dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, stdin: stdin}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the child did not start: %v", err)
	}
	c.endpoint = "http://" + strings.TrimSpace(address)
	return c
}

// stop shuts the child down.
func (c *child) stop() {
	c.t.Helper()
	_ = c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatal(err)
	}
}

// kill kills the child with SIGKILL.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait() // the error says that it was killed
}

// inStore opens the store in this process while do runs.
func inStore(t *testing.T, dir string, do func(c *engine.Engine, app collector.App)) {
	t.Helper()
	c, closeAll, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Warm()
	app, ok := c.App(appKey)
	if !ok {
		if app, err = c.AddApp(t.Context(), collector.App{Key: appKey, MaxNewPerDay: 50_000_000}); err != nil {
			t.Fatal(err)
		}
	}
	do(c, app)
	if err := closeAll(); err != nil {
		t.Fatal(err)
	}
}

func figuresOf(t *testing.T, c *engine.Engine, app collector.AppNum, day collector.Day) figures.SeriesPoint {
	t.Helper()
	s, err := c.Series(t.Context(), app, collector.Range{From: day, To: day}, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Points) != 1 {
		t.Fatalf("%d points for one day", len(s.Points))
	}
	return s.Points[0]
}

// sameDay skips the rest of a test that began on another day, because its
// reports are of two days.
func sameDay(t *testing.T, day collector.Day) {
	t.Helper()
	if collector.DayOf(time.Now()) != day {
		t.Skip("midnight has come meanwhile")
	}
}
