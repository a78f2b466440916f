package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// TestPrimaryDies kills the primary of a pair while reports arrive: PostgreSQL
// and its keeper, as when their machine is gone. pg_auto_failover promotes the
// standby. The replicas get one address that names both.
func TestPrimaryDies(t *testing.T) {
	notShort(t)
	lab.Need(t, lab.Tool("pg_autoctl"), autoFailover)
	if !alone(t) {
		return
	}
	p := newPair(t)
	c := newCluster(t, "postgres://rollcall@127.0.0.1:5432,127.0.0.1:5433/rollcall?sslmode=disable&target_session_attrs=read-write")
	for range 3 {
		c.add()
	}
	c.ready()
	load := c.load(8)
	for range rounds(1, 5) {
		primary, standby := p.settled()
		load.more(200)
		killed := time.Now()
		p.kill(primary)
		p.write(standby)
		outage := time.Since(killed)
		took := load.more(1)
		began := time.Now()
		p.exec(standby, "INSERT INTO written DEFAULT VALUES") // the least that anybody needs
		t.Logf("first acknowledgement %s after the database was writable, which took %s; connecting and writing take %s",
			took.Round(10*time.Millisecond), outage.Round(100*time.Millisecond), time.Since(began).Round(time.Millisecond))
		load.more(100)
		p.run(primary, "run") // as the standby
	}
	load.check()
}

const (
	debian      = "/usr/lib/postgresql/15"
	monitorPort = 5431 // and the pair's ports are the next two
	pairDir     = "/run/postgresql"
)

// autoFailover requires the extension of pg_auto_failover.
func autoFailover() error {
	_, err := os.Stat(debian + "/lib/pgautofailover.so")
	return err
}

// A pair is two PostgreSQL servers that pg_auto_failover makes a primary and a
// standby, and its monitor.
type pair struct {
	t         *testing.T
	uid       int
	processes map[int]*exec.Cmd // pg_autoctl, by the server's port
}

func newPair(t *testing.T) *pair {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, uid: uid, processes: map[int]*exec.Cmd{}}
	// Debian's sockets are here. They lie in memory, because no test cuts the
	// power.
	if err := errors.Join(os.MkdirAll(pairDir, 0o755),
		syscall.Mount("pair", pairDir, "tmpfs", 0, fmt.Sprintf("size=4g,mode=700,uid=%d", uid))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for port := range p.processes {
			if text, err := os.ReadFile(p.file(port) + ".log"); err == nil && t.Failed() {
				t.Logf("pg_autoctl of port %d:\n%s", port, text)
			}
			p.kill(port)
		}
	})

	p.run(monitorPort, "create", "monitor", "--auth", "trust", "--no-ssl")
	const monitor = "postgres://autoctl_node@127.0.0.1:5431/pg_auto_failover"
	p.wait("the monitor", 200*time.Millisecond, func() bool {
		_, err := p.nodes("single")
		return err == nil
	})
	// The standard settings take a minute for a failover.
	p.exec(monitorPort, "ALTER SYSTEM SET pgautofailover.node_considered_unhealthy_timeout = '3s'",
		"ALTER SYSTEM SET pgautofailover.health_check_period = '1s'", "ALTER SYSTEM SET pgautofailover.health_check_retry_delay = '500ms'",
		"ALTER SYSTEM SET pgautofailover.primary_demote_timeout = '1s'", "SELECT pg_reload_conf()")
	for port := monitorPort + 1; port <= monitorPort+2; port++ {
		p.run(port, "create", "postgres", "--listen", "127.0.0.1", "--name", fmt.Sprintf("node%d", port), "--auth", "trust", "--no-ssl",
			"--monitor", monitor, "--username", "rollcall", "--dbname", "rollcall")
		if port == monitorPort+1 {
			p.wait("the first server", 200*time.Millisecond, func() bool {
				ports, _ := p.nodes("single")
				return len(ports) == 1
			})
			// The checkpoint of a base backup takes minutes otherwise.
			p.exec(port, "CREATE TABLE written (at timestamptz DEFAULT now())", "ALTER SYSTEM SET checkpoint_completion_target = 0",
				"ALTER SYSTEM SET wal_keep_size = '256MB'", "ALTER SYSTEM SET max_wal_size = '256MB'", "SELECT pg_reload_conf()")
		}
	}
	p.settled()
	return p
}

func (p *pair) file(port int) string { return filepath.Join(pairDir, strconv.Itoa(port)) }

// run starts pg_autoctl for a server, which starts the server.
func (p *pair) run(port int, verb ...string) {
	p.t.Helper()
	args := append(verb, "--pgdata", p.file(port))
	if verb[0] == "create" {
		args = append(args, "--pgport", strconv.Itoa(port), "--hostname", "127.0.0.1", "--pgctl", debian+"/bin/pg_ctl", "--run")
	}
	log, err := os.OpenFile(p.file(port)+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("pg_autoctl", args...)
	cmd.Env = []string{"PATH=" + debian + "/bin:" + os.Getenv("PATH"), "HOME=" + pairDir, "XDG_RUNTIME_DIR=" + pairDir, "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lab.AsUser(cmd, p.uid)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.processes[port] = cmd
}

// kill kills pg_autoctl and the main process of its server, which are one process
// group. The server's others notice that at once.
func (p *pair) kill(port int) {
	cmd := p.processes[port]
	delete(p.processes, port)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
}

func connect(t *testing.T, port int, database string) (*pgx.Conn, error) {
	return pgx.Connect(t.Context(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable&connect_timeout=10", port, database))
}

// exec executes statements as superuser.
func (p *pair) exec(port int, statements ...string) {
	p.t.Helper()
	conn, err := connect(p.t, port, "postgres")
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(p.t.Context(), sql); err != nil {
			p.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// nodes returns the ports of the servers that are in a state, and stay in it.
func (p *pair) nodes(state string) ([]int, error) {
	conn, err := connect(p.t, monitorPort, "pg_auto_failover")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(p.t.Context(),
		"SELECT nodeport FROM pgautofailover.node WHERE reportedstate::text = $1 AND goalstate = reportedstate", state)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// settled waits until commits wait for the standby, and returns the ports.
func (p *pair) settled() (primary, standby int) {
	p.t.Helper()
	p.wait("the pair", 200*time.Millisecond, func() bool {
		primaries, _ := p.nodes("primary")
		standbys, _ := p.nodes("secondary")
		if len(primaries) != 1 || len(standbys) != 1 {
			return false
		}
		primary, standby = primaries[0], standbys[0]
		return true
	})
	return primary, standby
}

// write waits until a server commits a write.
func (p *pair) write(port int) {
	p.t.Helper()
	conn, err := connect(p.t, port, "postgres")
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	p.wait("a write", 5*time.Millisecond, func() bool {
		_, err := conn.Exec(p.t.Context(), "INSERT INTO written DEFAULT VALUES")
		if conn.IsClosed() {
			p.t.Fatal(err)
		}
		return err == nil
	})
}

func (p *pair) wait(what string, interval time.Duration, happened func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !happened(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within 5 minutes", what)
		}
	}
}
