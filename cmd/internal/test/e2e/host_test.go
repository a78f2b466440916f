//go:build linux

package e2e_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
	"github.com/rollcall-dev/rollcall/installid"
)

// hostChild is a process that embeds the library and executes commands
// from its standard input, one per line.
const hostChild = "host"

const trustDisk = "ROLLCALL_TRUST_DISK"

// A setup configures a host.
type setup struct {
	ConfigPath     string
	StateDir       string
	Attempts       int
	AttemptTimeout time.Duration
	StartTimeout   time.Duration
	Backoff        time.Duration
	Lazy           bool
	Isolate        bool
	Umask          int

	uid     int
	root    string // of the host's container; empty means none
	doubted bool   // whether the disk is judged; otherwise it is trusted
}

func (s setup) config() rollcall.Config {
	return rollcall.Config{
		ConfigPath: s.ConfigPath, StateDir: s.StateDir,
		Limits: rollcall.Limits{
			Attempts: s.Attempts, AttemptTimeout: s.AttemptTimeout, StartTimeout: s.StartTimeout, Backoff: s.Backoff,
		},
		Lazy: s.Lazy, Isolate: s.Isolate,
	}
}

// scaled sets limits for a disk that hangs.
func scaled(s *setup) {
	s.AttemptTimeout, s.Backoff, s.StartTimeout = 300*time.Millisecond, 50*time.Millisecond, 3*time.Second
	if race.Enabled { // which delays each child process by a second
		s.AttemptTimeout, s.StartTimeout = 3*time.Second, 15*time.Second
	}
}

// isolated is used after scaled: a child process takes longer to start on
// a busy machine.
func isolated(s *setup) {
	s.Isolate = true
	if s.AttemptTimeout != 0 {
		s.AttemptTimeout, s.StartTimeout = max(s.AttemptTimeout, 3*time.Second), max(s.StartTimeout, 15*time.Second)
	}
}

func lazily(s *setup) { s.Lazy = true }

func asUser(uid int) func(*setup) { return func(s *setup) { s.uid = uid } }

// The commands.
const (
	doStart  = "start"
	doHurry  = "hurry" // stops waiting for the start
	doStatus = "status"
	doReset  = "reset"
	doDeny   = "deny" // telemetry
	doKeep   = "keep" // what a host in another process set
	doMemory = "memory"
	doExit   = "exit"
)

// A reply is a line of a host's output: a log line, or the result of a
// command.
type reply struct {
	Log    string           `json:",omitempty"`
	Did    string           `json:",omitempty"`
	Took   time.Duration    `json:",omitempty"`
	Status installid.Status `json:",omitzero"`
	ID     installid.ID     `json:",omitzero"`
	Err    string           `json:",omitempty"`
	Memory int              `json:",omitempty"` // the most that it ever used, in bytes
}

func runHost() {
	var s setup
	if err := json.Unmarshal([]byte(os.Args[1]), &s); err != nil {
		panic(err)
	}
	unix.Umask(s.Umask)
	out := &lines{to: json.NewEncoder(os.Stdout)}
	config := s.config()
	config.Logger = slog.New(out)
	service, err := rollcall.New(config)
	if err != nil {
		panic(err)
	}
	ctx, hurry := context.WithCancel(context.Background())
	defer hurry()
	for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != doExit; {
		switch in.Text() {
		case doStart:
			go func() { out.write(perform(ctx, service, doStart)) }()
		case doHurry:
			hurry()
		default:
			out.write(perform(context.Background(), service, in.Text()))
		}
	}
}

func perform(ctx context.Context, service *rollcall.Service, command string) reply {
	r, begin := reply{Did: command}, time.Now()
	var err error
	switch command {
	case doStart:
		err = service.Start(ctx)
	case doReset:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		r.ID, err = service.Reset(ctx)
	case doDeny:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err = service.SetConsent(ctx, false)
	case doKeep:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err = service.SaveHostValues(ctx, []byte(`{"version":"1.2.3"}`))
	case doMemory:
		r.Memory = peakMemory()
	}
	r.Took, r.Status = time.Since(begin), service.Status().Status
	if r.ID.IsZero() {
		r.ID = service.ID()
	}
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

// peakMemory returns the most physical memory that this process has used.
func peakMemory() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int
	fmt.Sscan(rest, &kilobytes)
	return kilobytes << 10
}

// lines writes replies, and is a slog.Handler that writes log lines.
type lines struct {
	mu sync.Mutex
	to *json.Encoder
}

func (l *lines) write(r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to.Encode(r) != nil {
		os.Exit(3) // nobody reads any more
	}
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { panic("not used") }
func (l *lines) WithGroup(string) slog.Handler                    { panic("not used") }

func (l *lines) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.write(reply{Log: b.String()})
	return nil
}

// A host is such a process, as the test sees it.
type host struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	replies chan reply
	exited  chan struct{} // closed when the process has exited

	mu  sync.Mutex
	log []string
}

// host starts a host on the site. Its service is not started yet. Unless
// the test sets limits, they are so long that no attempt times out because
// the machine is busy.
func (s *site) host(change ...func(*setup)) *host {
	s.t.Helper()
	todo := setup{ConfigPath: s.config, Umask: 0o022, AttemptTimeout: patience, StartTimeout: patience}
	for _, c := range change {
		c(&todo)
	}
	args, err := json.Marshal(todo)
	must(s.t, err)
	cmd := lab.Command(s.t, hostChild, string(args))
	if todo.uid != 0 {
		lab.AsUser(cmd, todo.uid)
	}
	if todo.root != "" {
		lab.InContainer(cmd, todo.root)
	}
	if todo.doubted {
		cmd.Env = append(cmd.Env, trustDisk+"=")
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(s.t, err)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, cmd.Start())
	h := &host{t: s.t, cmd: cmd, in: in, replies: make(chan reply, 100), exited: make(chan struct{})}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		h.listen(out)
	}()
	go func() {
		defer close(h.exited)
		cmd.Process.Wait() // cmd.Wait would close out before everything is read
		<-heard
		cmd.Wait()
	}()
	s.processes = append(s.processes, h.exited)
	s.t.Cleanup(func() { cmd.Process.Kill() })
	return h
}

func (h *host) listen(out io.Reader) {
	for decoder := json.NewDecoder(out); ; {
		var r reply
		if decoder.Decode(&r) != nil {
			close(h.replies)
			return
		}
		if r.Log == "" {
			h.replies <- r
			continue
		}
		h.mu.Lock()
		h.log = append(h.log, r.Log)
		h.mu.Unlock()
	}
}

// send sends a command without waiting for the result.
func (h *host) send(command string) {
	h.t.Helper()
	if _, err := fmt.Fprintln(h.in, command); err != nil {
		h.t.Fatalf("send %s to the host: %v", command, err)
	}
}

// receive waits for the result of a command.
func (h *host) receive() reply {
	h.t.Helper()
	select {
	case r, ok := <-h.replies:
		if !ok {
			h.t.Fatal("the host has exited")
		}
		if r.Err != "" {
			h.t.Errorf("%s: %s", r.Did, r.Err)
		}
		return r
	case <-time.After(patience):
		h.t.Fatalf("no answer from the host within %v", patience)
	}
	panic("not reached")
}

func (h *host) ask(command string) reply {
	h.t.Helper()
	h.send(command)
	return h.receive()
}

func (h *host) start() reply { h.t.Helper(); return h.ask(doStart) }

func (h *host) status() installid.Status { h.t.Helper(); return h.ask(doStatus).Status }

// await waits until the status is as it should be.
func (h *host) await(what string, ok func(installid.Status) bool) (st installid.Status) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !ok(h.status()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("timed out after %v: %s; got %+v, log %q", patience, what, h.status(), h.lines())
		}
	}
	return h.status()
}

// awaitPersisted waits until the ID is in all its places and nothing is
// left to do.
func (h *host) awaitPersisted() installid.Status {
	h.t.Helper()
	return h.await("the ID is persisted in all places", func(st installid.Status) bool {
		return st.Persisted && !st.Incomplete && atRest(st)
	})
}

// atRest reports whether no work is under way.
func atRest(st installid.Status) bool { return st.Stuck == "" && !st.NextTry.IsZero() }

// exit lets the host's main return, and returns how long the process took
// to exit.
func (h *host) exit() time.Duration {
	h.t.Helper()
	begin := time.Now()
	h.send(doExit)
	h.awaitExit()
	return time.Since(begin)
}

func (h *host) awaitExit() {
	h.t.Helper()
	select {
	case <-h.exited:
	case <-time.After(patience):
		h.t.Fatalf("the host did not exit within %v", patience)
	}
}

// kill kills the host and waits until it has exited.
func (h *host) kill() {
	h.t.Helper()
	h.cmd.Process.Kill()
	h.awaitExit()
}

var wholeID = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// lines returns the log so far, which must not contain a whole ID.
func (h *host) lines() []string {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.log {
		if wholeID.MatchString(line) {
			h.t.Errorf("a whole ID was logged: %s", line)
		}
	}
	return slices.Clone(h.log)
}

// wantLog checks the whole log. A * in a wanted line matches any text.
func (h *host) wantLog(want ...string) {
	h.t.Helper()
	if got := h.lines(); !slices.EqualFunc(got, want, matches) {
		h.t.Errorf("got log\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// logged counts the lines that match.
func (h *host) logged(pattern string) (n int) {
	h.t.Helper()
	for _, line := range h.lines() {
		if matches(line, pattern) {
			n++
		}
	}
	return n
}

func matches(line, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(line)
}

// The log lines.
const (
	lineGenerated = "INFO Generated new anonymous installation ID id=*..."
	lineTimedOut  = "WARN Config save timed out, will retry attempt=*"
	lineAdopted   = "INFO Stored installation ID adopted id=*..."
)

func linePersisted(attempt int) string {
	return fmt.Sprintf("INFO Installation ID persisted to config attempt=%d", attempt)
}

func lineFailed(why string, attempt int) string {
	return fmt.Sprintf("WARN Failed to save installation ID to config error=*%s* attempt=%d max_retries=3", why, attempt)
}

func lineInMemory(why string) string {
	return "WARN Using in-memory installation ID (config save failed) id=*... error=*" + why + "* note=*"
}

func lineStarted(persisted bool) string {
	return fmt.Sprintf("INFO Telemetry service started enabled=false has_persistent_id=%v", persisted)
}

// startAll starts the services of all hosts at the same time.
func startAll(hosts []*host) []reply {
	for _, h := range hosts {
		h.t.Helper()
		h.send(doStart)
	}
	replies := make([]reply, len(hosts))
	for i, h := range hosts {
		replies[i] = h.receive()
	}
	return replies
}

// slowest returns the reply that took longest.
func slowest(replies []reply) time.Duration {
	return slices.MaxFunc(replies, func(a, b reply) int { return cmp.Compare(a.Took, b.Took) }).Took
}
