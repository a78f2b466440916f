package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/npm"
)

// A Pooler is a pgbouncer in front of a server.
type Pooler struct {
	Port int

	server       *Server
	program, dir string
	cmd          *exec.Cmd
	exited       chan struct{}
}

// StartPooler starts pgbouncer in transaction mode, until the end of the test.
// Without pgbouncer it skips the test.
func StartPooler(t testing.TB, s *Server) *Pooler {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if _, statErr := os.Stat("/usr/sbin/pgbouncer"); statErr == nil {
			program, err = "/usr/sbin/pgbouncer", nil
		}
	}
	switch {
	case err == nil:
	case npm.Required():
		t.Fatalf("cannot run pgbouncer: %v", err)
	default:
		fmt.Fprintf(os.Stderr, "SKIPPED %s: %v\n", t.Name(), err)
		t.Skip(err.Error())
	}
	dir, err := os.MkdirTemp(s.Dir, "pooler-")
	if err != nil {
		t.Fatal(err)
	}
	port := lab.FreePort(t)
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
server_reset_query =
logfile = %s
pidfile =
`, s.Port, port, users, filepath.Join(dir, "log"))
	if err := errors.Join(
		os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", "postgres", password), 0o600),
		os.WriteFile(config, []byte(text), 0o600), own(dir), own(users), own(config),
	); err != nil {
		t.Fatal(err)
	}
	p := &Pooler{Port: port, server: s, program: program, dir: dir}
	t.Cleanup(p.stop)
	p.start(t)
	return p
}

// Restart kills the pooler, and starts it again.
func (p *Pooler) Restart(t testing.TB) {
	t.Helper()
	p.stop()
	p.start(t)
}

func (p *Pooler) stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
		p.cmd = nil
	}
}

func (p *Pooler) start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(p.program, "-q", filepath.Join(p.dir, "pgbouncer.ini"))
	cmd.Env, cmd.Dir = p.server.env, p.dir
	unprivileged(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	through := &Server{Version: p.server.Version, Port: p.Port}
	for deadline := time.Now().Add(startLimit); ; {
		err := through.ping()
		if err == nil {
			return
		}
		select {
		case <-exited:
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Fatalf("pgbouncer ended at once:\n%s", tail(log))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer did not start within %s: %v", startLimit, err)
		}
	}
}

// URLAt returns the address of a database for the superuser, at a port of a
// pooler or a proxy in front of the server.
func (s *Server) URLAt(port int, database string) string {
	return s.URLFor("postgres", password, port, database)
}
