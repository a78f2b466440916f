package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

func init() { lab.Register("collector", serveAttacked) }

func TestMain(m *testing.M) { lab.Main(m) }

// serveAttacked runs a collector with few descriptors, as a service manager
// would, until its standard input ends.
func serveAttacked() {
	few := syscall.Rlimit{Cur: 1024, Max: 1024}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		panic(err)
	}
	dir := os.Args[1]
	d, err := daemon.Open(context.Background(), daemon.Options{
		Dir: dir, Listen: "127.0.0.1:0", TLSCert: os.Args[2], TLSKey: os.Args[3],
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	if _, err := d.Collector().AddApp(context.Background(), collector.App{Key: "myapp"}); err != nil {
		panic(err)
	}
	fmt.Println(d.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := d.Run(ctx); err != nil {
		panic(err)
	}
}

// An attacked is a collector in a process of its own.
type attacked struct {
	t       *testing.T
	dir     string
	address string
	pid     int
	next    int
	log     *syncbuffer.Buffer
}

func startAttacked(t *testing.T) *attacked {
	t.Helper()
	a := &attacked{t: t, dir: t.TempDir(), log: &syncbuffer.Buffer{}}
	cert, key := filepath.Join(a.dir, "cert"), filepath.Join(a.dir, "key")
	writeCertificate(t, cert, key, 1)
	cmd := lab.Command(t, "collector", a.dir, cert, key)
	cmd.Stderr = a.log
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
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the collector did not start: %s", a.log)
	}
	a.address, a.pid = strings.TrimSpace(line), cmd.Process.Pid
	return a
}

// resident returns the resident memory in bytes.
func (a *attacked) resident() int {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.pid))
	if err != nil {
		a.t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		a.t.Fatal(err)
	}
	return n << 10
}

// client returns a client that connects from an address.
func (a *attacked) client(from string, http2 bool) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, a.address)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2,
	}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// beat sends a heartbeat of one of 20 installations.
func (a *attacked) beat(client *http.Client) error {
	a.next++
	text := strings.Replace(fullHeartbeat(), "11111111-", fmt.Sprintf("%08x-", a.next%20), 1)
	response, err := client.Post("https://collector.example/v1/heartbeat", "application/json", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("got %d %s", response.StatusCode, body)
	}
	return nil
}

// probe asks whether the collector is alive, from where the attack comes. Others
// may close its connection, so it retries, as probes do.
func (a *attacked) probe() {
	a.t.Helper()
	start := time.Now()
	for try := 1; ; try++ {
		response, err := a.client("127.0.0.1", false).Get("https://collector.example/healthz")
		if err == nil {
			response.Body.Close()
			a.t.Logf("/healthz: %d at try %d, after %s", response.StatusCode, try, time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Since(start) > 2*time.Minute {
			a.t.Errorf("/healthz: %v", err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// rate returns how many heartbeats one client sends in a second, one after the
// other.
func (a *attacked) rate(client *http.Client) float64 {
	a.t.Helper()
	const n = 20
	start := time.Now()
	for range n {
		if err := a.beat(client); err != nil {
			a.t.Errorf("a known installation: %v", err)
			return 0
		}
	}
	return n / time.Since(start).Seconds()
}

// An unfinished body sends most of its bytes, and then waits until the attack
// ends.
type unfinished struct {
	*bytes.Reader
	over <-chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	if n, err := u.Reader.Read(p); err == nil {
		return n, nil
	}
	<-u.over
	return 0, io.ErrUnexpectedEOF
}

func (u *unfinished) Close() error { return nil }

// Nobody who sends requests without an end, or connections without a request,
// takes the collector's memory or descriptors from the others.
func TestUnfinishedRequests(t *testing.T) {
	attacks := map[string]func(t *testing.T, a *attacked, over <-chan struct{}){
		"HTTP/2 streams":          unfinishedStreams,
		"HTTP/1 bodies":           unfinishedBodies,
		"connections say nothing": silentConnections,
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			lab.Need(t)
			began := time.Now()
			a := startAttacked(t)
			known := a.client("127.0.0.2", false)
			a.rate(known)
			peaceful, rest := a.rate(known), a.resident()
			over := make(chan struct{})
			defer close(over)
			attack(t, a, over)

			attackedRate := a.rate(known)
			if err := a.beat(a.client("127.0.0.3", true)); err != nil {
				t.Errorf("a new connection from elsewhere: %v", err)
			}
			a.probe()
			c, err := control.Connect(t.Context(), a.dir, datadir.Options{})
			if err != nil {
				t.Fatalf("the verbs: %v", err)
			}
			defer c.Close()
			if apps, err := c.Apps(t.Context()); err != nil || len(apps) != 1 {
				t.Errorf("app list: %v, %v", apps, err)
			}
			more := a.resident() - rest
			t.Logf("%.0f heartbeats/s in peace and %.0f/s under attack; %d MB at rest, and %d MB more", peaceful, attackedRate, rest>>20, more>>20)
			most := 300 << 20
			if race.Enabled {
				most *= 5
			}
			if more > most {
				t.Errorf("the collector uses %d MB more than at rest", more>>20)
			}
			warnings := strings.Count(a.log.String(), "Refusing what is too much")
			if warnings == 0 || warnings > 6+2*int(time.Since(began)/time.Minute) { // one a minute of the requests, and one of the connections
				t.Errorf("got %d warnings: %s", warnings, a.log)
			}
		})
	}
}

// unfinishedStreams opens as many streams over as many connections as it can.
func unfinishedStreams(t *testing.T, a *attacked, over <-chan struct{}) {
	body := bytes.Repeat([]byte{' '}, 60_000)
	for range 48 {
		client := a.client("127.0.0.1", true)
		for range 250 {
			go func() {
				request, _ := http.NewRequest("POST", "https://collector.example/v1/health", &unfinished{bytes.NewReader(body), over})
				request.ContentLength = 65_000
				if response, err := client.Do(request); err == nil {
					response.Body.Close()
				}
			}()
		}
	}
	settle(t, a)
}

// unfinishedBodies opens thousands of connections with a body each.
func unfinishedBodies(t *testing.T, a *attacked, over <-chan struct{}) {
	text := "POST /v1/health HTTP/1.1\r\nHost: collector.example\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n" + strings.Repeat(" ", 60_000)
	for range 3000 {
		go holdOpen(a, over, text)
	}
	settle(t, a)
}

// silentConnections opens thousands of connections that do not even say hello.
func silentConnections(t *testing.T, a *attacked, over <-chan struct{}) {
	for range 3000 {
		go func() {
			if conn, err := net.Dial("tcp", a.address); err == nil {
				<-over
				conn.Close()
			}
		}()
	}
	settle(t, a)
}

func holdOpen(a *attacked, over <-chan struct{}, text string) {
	conn, err := tls.Dial("tcp", a.address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err == nil {
		<-over
	}
}

// settle waits until the attack has its effect.
func settle(t *testing.T, a *attacked) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !strings.Contains(a.log.String(), "Refusing what is too much") && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // what was let in sends its bytes
}
