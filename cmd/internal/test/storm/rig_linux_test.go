package storm

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

// program is the built program.
var program string

// notShort skips a storm in a short run. The race detector would see nothing of the
// processes that it starts.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("storms take a minute")
	}
}

func TestMain(m *testing.M) {
	if program = os.Getenv(insideVariable); program != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "rollcall-storm-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "rollcall")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/rollcall-dev/rollcall/cmd/rollcall")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	pgserver.StopShared()
	os.RemoveAll(dir)
	os.Exit(code)
}

// rounds returns how often a storm does what it does: few times, and often with
// ROLLCALL_SOAK.
func rounds(few, often int) int {
	if os.Getenv("ROLLCALL_SOAK") != "" {
		return often
	}
	return few
}

const (
	appKey = "storm"
	lease  = 3 * time.Second
)

// A cluster is replicas on one database.
type cluster struct {
	t      *testing.T
	store  string // URL
	secret string // file
	nodes  []*node
}

// A node is a replica in a process of its own.
type node struct {
	c       *cluster
	name    string
	prefix  []string // of the command, such as ip netns exec
	address string   // for clients
	peers   string   // for replicas
	cmd     *exec.Cmd
	ended   chan struct{}
	log     syncbuffer.Buffer
}

func newCluster(t *testing.T, store string) *cluster {
	t.Helper()
	c := &cluster{t: t, store: store, secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(c.secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if t.Failed() {
				t.Logf("%s:\n%s", n.name, n.log.String())
			}
			n.signal(syscall.SIGCONT)
			n.kill()
		}
	})
	c.verb("app", "add", appKey, "--max-new-per-day", "1000000000")
	return c
}

// verb runs a verb of the collector.
func (c *cluster) verb(args ...string) string {
	c.t.Helper()
	args = append(append([]string{"collector"}, args...), "--store", c.store, "--secret-file", c.secret)
	cmd := exec.Command(program, args...)
	cmd.Dir = c.t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func freeAddress(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)) }

// add starts a replica on loopback.
func (c *cluster) add() *node {
	c.t.Helper()
	n := &node{
		c: c, name: fmt.Sprintf("replica %d", len(c.nodes)+1),
		address: freeAddress(c.t), peers: freeAddress(c.t),
	}
	c.nodes = append(c.nodes, n)
	n.start()
	return n
}

func (n *node) start() {
	n.c.t.Helper()
	args := append(slices.Clone(n.prefix), program, "collector", "serve", "--store", n.c.store, "--secret-file", n.c.secret,
		"--listen", n.address, "--replica-listen", n.peers, "--lease", lease.String(), "--drain", "2s", "--open-metrics",
		"--limit-address", "off", "--limit-address-new", "off", "--limit-address-known", "off", "--limit-installation", "off")
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Dir = os.TempDir()
	n.cmd.Env = append(os.Environ(), "ROLLCALL_COLLECTOR_DATA_DIR="+filepath.Join(n.c.t.TempDir(), "not-needed"))
	n.cmd.Stderr, n.cmd.Stdout = &n.log, &n.log
	if err := n.cmd.Start(); err != nil {
		n.c.t.Fatal(err)
	}
	ended := make(chan struct{})
	n.ended = ended
	cmd := n.cmd
	go func() { cmd.Wait(); close(ended) }()
}

func (n *node) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) } // it may have ended

// kill kills the process, and waits for its end.
func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	<-n.ended
}

// get returns the status and the body of a page, or 0.
func (n *node) get(path string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.address+path, nil)
	if err != nil {
		n.c.t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// counts reports whether this replica counts.
func (n *node) counts() bool {
	_, text := n.get("/metrics")
	return strings.Contains(text, "\nrollcall_collector_counts 1\n")
}

// counter waits for the replica that counts.
func (c *cluster) counter() *node {
	c.t.Helper()
	for c.t.Context().Err() == nil {
		for _, n := range c.nodes {
			if n.counts() {
				return n
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// ready waits until all replicas are ready.
func (c *cluster) ready() {
	c.t.Helper()
	for _, n := range c.nodes {
		for status := 0; status != 200; {
			if status, _ = n.get("/readyz"); status != 200 {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

// client makes a connection for each request, as installations do.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// load sends new installations to the replicas. Each worker has one of them, and
// tries the next one if it gets no answer: so clients that hang with one replica
// say nothing about the others.
type load struct {
	c       *cluster
	stopped atomic.Bool
	wg      sync.WaitGroup
	next    atomic.Int64
	acks    atomic.Int64
	refused atomic.Int64 // with 503
	failed  atomic.Int64 // without an answer

	mu    sync.Mutex
	acked []int64
	odd   []string // other answers
}

func (c *cluster) load(workers int) *load {
	l := &load{c: c}
	for w := range workers {
		l.wg.Go(func() {
			for to := w; !l.stopped.Load(); {
				if l.send(c.nodes[to%len(c.nodes)], l.next.Add(1)-1) == 0 {
					to++
				} else {
					to = w
				}
			}
		})
	}
	c.t.Cleanup(l.stop)
	return l
}

func id(n int64) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n+1, n+1) }

func heartbeat(n int64) string {
	return fmt.Sprintf(`{"schema":1,"app":%q,"installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"1.2.3"}`,
		appKey, id(n), time.Now().UTC().Format(time.RFC3339))
}

func (l *load) send(to *node, n int64) (status int) {
	response, err := client.Post("http://"+to.address+"/v1/heartbeat", "application/json", strings.NewReader(heartbeat(n)))
	if err != nil {
		l.failed.Add(1)
		time.Sleep(time.Duration(10+rand.IntN(20)) * time.Millisecond)
		return 0
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	switch response.StatusCode {
	case 200:
		l.acks.Add(1)
		l.mu.Lock()
		l.acked = append(l.acked, n)
		l.mu.Unlock()
	case 503:
		l.refused.Add(1)
	default:
		l.mu.Lock()
		l.odd = append(l.odd, fmt.Sprintf("%s: %s", to.name, response.Status))
		l.mu.Unlock()
	}
	return response.StatusCode
}

func (l *load) stop() {
	l.stopped.Store(true)
	l.wg.Wait()
}

// more waits for n more acknowledgements, and returns the time until the first.
func (l *load) more(n int64) time.Duration {
	began := time.Now()
	first := time.Duration(0)
	for before := l.acks.Load(); l.acks.Load() < before+n && l.c.t.Context().Err() == nil; {
		if first == 0 && l.acks.Load() > before {
			first = time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	if first == 0 {
		first = time.Since(began)
	}
	return first
}

// again waits for the first acknowledgement after the counter is gone, and
// returns how long that took. It ignores acknowledgements that come too soon to
// be another counter's.
func (l *load) again() time.Duration {
	took := l.more(1)
	for took < lease/2 {
		took += l.more(1)
	}
	return took
}

// logWaits logs the times until the first acknowledgement.
func logWaits(t *testing.T, waits []time.Duration) {
	slices.Sort(waits)
	const unit = 10 * time.Millisecond
	t.Logf("first acknowledgement after %s in the median of %d, and %s at most, with a lease of %s",
		waits[len(waits)/2].Round(unit), len(waits), waits[len(waits)-1].Round(unit), lease)
}

// check checks that everything acknowledged was counted, and once: everything is
// sent again, and then the collector has as many installations as were sent.
func (l *load) check() {
	t := l.c.t
	t.Helper()
	l.stop()
	if len(l.odd) > 0 {
		t.Errorf("got %q, want only acknowledgements, 503, and no answer", l.odd[:min(len(l.odd), 5)])
	}
	if l.acks.Load() == 0 {
		t.Fatal("nothing was acknowledged")
	}
	to := l.c.counter()
	// What was acknowledged is known already: the counter has that many new ones.
	fresh := l.c.total()
	if int(fresh) < len(l.acked) {
		t.Errorf("%d were acknowledged, and %d are counted: some are lost", len(l.acked), fresh)
	}
	for _, n := range l.acked {
		status := 0
		for status == 0 || status == 503 { // on a slow machine
			status, _ = to.get("/v1/installations/" + id(n))
		}
		if status == 429 {
			break // the sum covers the others
		}
		if status != 200 {
			t.Errorf("installation %d was acknowledged: got %d", n, status)
		}
	}
	acknowledged, total := len(l.acked), l.next.Load()
	var wg sync.WaitGroup
	for w := range int64(8) {
		wg.Go(func() {
			for n := w; n < total; n += 8 {
				for l.send(to, n) != 200 && t.Context().Err() == nil {
				}
			}
		})
	}
	wg.Wait()
	if got := l.c.total(); got != total {
		t.Errorf("when all were sent again, %d are counted, want %d: some count twice, or not at all", got, total)
	}
	t.Logf("%d acknowledged, none lost; %d got 503, %d no answer", acknowledged, l.refused.Load(), l.failed.Load())
}

// total returns how many installations the counter has seen for the first time
// since the storm began.
func (c *cluster) total() (n int64) {
	c.t.Helper()
	lines := strings.Split(strings.TrimSpace(c.verb("export", appKey, "--format", "csv")), "\n")
	column := slices.Index(strings.Split(lines[0], ","), "new")
	for _, day := range lines[1:] {
		var fresh int64
		if _, err := fmt.Sscan(strings.Split(day, ",")[column], &fresh); err != nil {
			c.t.Fatalf("%v in %s", err, lines)
		}
		n += fresh
	}
	return n
}
