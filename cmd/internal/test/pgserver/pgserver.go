// Package pgserver runs PostgreSQL for tests: Debian's version 15, and version 18
// from a package of npm. Servers listen on a Unix socket and on loopback, in a
// temporary directory, as an unprivileged user.
//
// A test binary shares one server of each version: see [Main] and [Shared].
package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The versions of PostgreSQL. V18 is for measurements.
const (
	V15 = "15"
	V18 = "18"
)

// Versions are all versions.
var Versions = []string{V15, V18}

// password is that of the superuser.
const password = "secret of a test"

// A Server is a running PostgreSQL.
type Server struct {
	Version string
	// Bin has the server's programs, and Dir is its temporary directory: the
	// cluster is in Dir/data.
	Bin, Dir string
	Port     int

	env     []string
	process *exec.Cmd
	exited  chan struct{}
}

// Options configure [Start].
type Options struct {
	// Settings are lines of postgresql.conf.
	Settings []string
	// From, if not nil, makes the server a standby of that one, which must run.
	From *Server
}

// shared are the servers of this process, by version.
var shared struct {
	sync.Mutex
	servers map[string]*Server
}

// Main runs the tests of a package, and then stops the shared servers. It is to
// be called by TestMain, and does not return.
func Main(m *testing.M) {
	code := m.Run()
	StopShared()
	os.Exit(code)
}

// StopShared stops the shared servers, and removes their directories.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	for _, s := range shared.servers {
		s.remove()
	}
	shared.servers = nil
}

// Shared returns the server of a version that the process shares. It starts it if
// need be. If the version is not installed, it skips the test.
func Shared(t testing.TB, version string) *Server {
	t.Helper()
	bin := need(t, version)
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[version]; s != nil {
		return s
	}
	s, err := start(t, version, bin, Options{Settings: []string{"fsync = off"}}) // much faster, and no test cuts the power
	if err != nil {
		t.Fatal(err)
	}
	if shared.servers == nil {
		shared.servers = make(map[string]*Server)
	}
	shared.servers[version] = s
	return s
}

// Start starts a server until the end of the test. If the version is not
// installed, it skips the test.
func Start(t testing.TB, version string, opts Options) *Server {
	t.Helper()
	s, err := start(t, version, need(t, version), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

func start(t testing.TB, version, bin string, opts Options) (_ *Server, err error) {
	dir, err := os.MkdirTemp("", "rollcall-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{Version: version, Bin: bin, Dir: dir, env: []string{"LC_ALL=C", "TZ=UTC", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := own(dir); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "password")
	if err := errors.Join(os.WriteFile(file, []byte(password+"\n"), 0o600), own(file)); err != nil {
		return nil, err
	}
	if opts.From != nil {
		err = s.command("pg_basebackup", "-D", s.data(), "-h", opts.From.Dir, "-p", strconv.Itoa(opts.From.Port), "-U", "postgres",
			"-R", "-X", "stream", "-c", "fast")
	} else {
		err = s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
			"--pwfile="+file, "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	}
	if err != nil {
		return nil, err
	}
	settings := append([]string{"listen_addresses = '127.0.0.1'", "unix_socket_directories = '" + dir + "'", "max_connections = 100",
		"log_timezone = 'UTC'", "timezone = 'UTC'"}, opts.Settings...)
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = conf.WriteString(strings.Join(settings, "\n") + "\n")
	if err := errors.Join(err, conf.Close()); err != nil {
		return nil, err
	}
	// Another program may take the port meanwhile.
	for range 5 {
		s.Port = lab.FreePort(t)
		if err = s.Run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// command runs one of the server's programs.
func (s *Server) command(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, name), args...)
	cmd.Env, cmd.Dir = s.env, s.Dir
	unprivileged(cmd)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}

// startLimit bounds the start of a server, on any machine.
const startLimit = 2 * time.Minute

// Run starts a server that was stopped.
func (s *Server) Run() error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.Bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.Port))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.Dir, log, log
	unprivileged(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	s.process, s.exited = cmd, exited
	for deadline := time.Now().Add(startLimit); ; {
		err := s.ping()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("PostgreSQL %s ended at once:\n%s", s.Version, tail(text))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("PostgreSQL %s did not start within %s: %w", s.Version, startLimit, err)
		}
	}
}

func tail(text []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-10):], []byte("\n"))
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Signal sends a signal to the server's main process: SIGINT stops it at once and
// in order, SIGQUIT without.
func (s *Server) Signal(signal syscall.Signal) { _ = s.process.Process.Signal(signal) }

// Ended reports whether the server has ended.
func (s *Server) Ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// Stop stops the server fast, and waits for its end.
func (s *Server) Stop() {
	s.Signal(syscall.SIGINT)
	<-s.exited
}

// Kill ends the server as a power cut of its machine would, but for the disk.
func (s *Server) Kill() {
	s.Signal(syscall.SIGQUIT)
	<-s.exited
}

func (s *Server) remove() {
	if s.process != nil {
		s.Kill()
	}
	_ = os.RemoveAll(s.Dir)
}

// URL returns the address of a database for the superuser, over loopback.
func (s *Server) URL(database string) string { return s.URLFor("postgres", password, s.Port, database) }

// URLFor returns the address of a database for a user, at a port of loopback.
func (s *Server) URLFor(user, password string, port int, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

// WriteFile writes a file that only the server can read, and returns its name.
func (s *Server) WriteFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(s.Dir, name)
	if err := errors.Join(os.WriteFile(file, data, 0o600), own(file)); err != nil {
		t.Fatal(err)
	}
	return file
}

// Exec executes statements in a database, each for itself.
func (s *Server) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// NewDatabase creates an empty database until the end of the test, and returns its
// name.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return name
}
