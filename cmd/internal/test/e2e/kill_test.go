//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A scenario is a save that is cut off at some point.
type scenario struct {
	name    string
	config  string
	anchor  string
	prepare func(t *testing.T, s *site)
	order   string // what the operator orders: orderReset, orderDisable or nothing
	lacks   string // what the file system does not support
}

// The orders of a scenario.
const (
	orderReset   = "reset"   // replace the ID
	orderDisable = "disable" // record a denial
)

var scenarios = []scenario{
	{name: "insert", config: plainConfig},
	{name: "create"},
	{name: "reset", config: withID(plainConfig, knownID), anchor: knownID, order: orderReset},
	{name: "disable", config: withID(plainConfig, knownID), anchor: knownID, order: orderDisable},
	{name: "copy", config: plainConfig, anchor: knownID},
	{name: "in place", config: plainConfig, prepare: func(t *testing.T, s *site) { lab.BindFile(t, s.config) }},
	{name: "no exchange", config: plainConfig, lacks: "exchange"},
	{name: "no links", config: plainConfig, lacks: "links"},
}

func (c scenario) inPlace() bool { return c.prepare != nil }

func (c scenario) site(t *testing.T) *site {
	t.Helper()
	s := siteIn(t, t.TempDir(), c.config)
	if c.prepare != nil {
		c.prepare(t, s)
	}
	c.begin(s)
	return s
}

// begin sets up the site as it is before the save.
func (c scenario) begin(s *site) {
	s.t.Helper()
	for _, name := range s.names() {
		if name != "config.json" || c.config == "" {
			must(s.t, os.Remove(filepath.Join(s.dir, name)))
		}
	}
	if c.config != "" {
		s.write("config.json", c.config)
	}
	if c.anchor != "" {
		s.write(filepath.Base(s.anchor), c.anchor+"\n")
	}
}

// check checks what a killed save has left, lets the next start repair
// it, and checks again. It ages the temporary files by their names,
// because recent ones are not swept.
func (c scenario) check(s *site, killedAt string) {
	s.t.Helper()
	now := s.configNow()
	stored := idIn(s.t, now)
	if c.inPlace() {
		now = strings.TrimRight(now, " ") // a save in place that is cut off leaves spaces
	}
	switch {
	case now == c.config:
	case c.config == "" && isFresh(now, stored):
	case c.config != "" && stored != "" && now == withID(plainConfig, stored):
	default:
		s.t.Errorf("killed at %s: got config\n%s", killedAt, now)
	}
	if stored == "" {
		stored = s.anchorNow()
	}
	if _, err := installid.Parse(stored); stored != "" && err != nil {
		s.t.Errorf("killed at %s: got ID %q", killedAt, stored)
	}
	w := s.withdrawals(killedAt)
	if w.Retired && stored == knownID {
		stored = "" // it does not count any more
	}
	temps := s.temps()
	for _, temp := range temps {
		s.age(temp, 11*time.Minute)
	}

	id := s.restart()
	if stored != "" && stored != id.String() {
		s.t.Errorf("killed at %s: got ID %q after a restart, want %q, which was stored", killedAt, id, stored)
	}
	if c.anchor != "" && !w.Retired && c.order != orderReset && id.String() != c.anchor {
		s.t.Errorf("killed at %s: got ID %q after a restart, want %q, which was there from the beginning", killedAt, id, c.anchor)
	}
	switch now := s.configNow(); {
	case c.config == "" && isFresh(now, id.String()), now == withID(plainConfig, id.String()):
	case c.inPlace() && strings.TrimRight(now, " ") == withID(plainConfig, id.String()):
	default:
		s.t.Errorf("killed at %s: got config after a restart\n%s", killedAt, now)
	}
	// A reset that is cut off between the two leaves its ID in the
	// config, and the anchor follows at the next wake.
	if got := s.anchorNow(); got != id.String() && !(c.order == orderReset && got == knownID) {
		s.t.Errorf("killed at %s: got ID %q in the anchor after a restart, want %q", killedAt, got, id)
	}
	if left := s.temps(); len(left) > 0 {
		s.t.Errorf("killed at %s: left behind %q, and after a restart %q", killedAt, temps, left)
	}
	if now := s.withdrawals(killedAt); now != w {
		s.t.Errorf("killed at %s: got %+v after a restart, and %+v before", killedAt, now, w)
	}
	if w.Retired { // and no old copy brings it back
		s.write("config.json", withID(plainConfig, knownID))
		if id := s.restart(); id.String() == knownID {
			s.t.Errorf("killed at %s: the old ID is back", killedAt)
		}
	}
}

// withdrawals returns what is withdrawn about knownID. It can be read at any
// time.
func (s *site) withdrawals(when string) idstore.Withdrawals {
	s.t.Helper()
	records, err := locationOf(s.config).OpenRecords(fsys.OS{}, nil)
	must(s.t, err)
	known, _ := installid.Parse(knownID)
	w, err := records.ReadWithdrawals(s.t.Context(), known)
	if err != nil {
		s.t.Errorf("killed at %s: %v", when, err)
	}
	return w
}

// age makes a temporary file look older.
func (s *site) age(temp string, by time.Duration) {
	s.t.Helper()
	m := tempName.FindStringSubmatchIndex(temp)
	old := temp[:m[4]] + strconv.FormatInt(time.Now().Add(-by).Unix(), 10) + temp[m[5]:]
	must(s.t, os.Rename(filepath.Join(s.dir, temp), filepath.Join(s.dir, old)))
}

// onceChild starts a keeper of the ID, waits until it is at rest, and
// stops it: the save that is cut off. Its arguments are the config's
// path, the order, and what the file system does not
// support. All its file work is in its first thread, because strace
// counts system calls per thread.
const onceChild = "once"

func runOnce() {
	runtime.LockOSThread()
	calls, done := make(chan func()), make(chan struct{})
	disk := &hookFS{lacks: os.Args[3], around: func(_ string, do func()) {
		over := make(chan struct{})
		calls <- func() { do(); close(over) }
		<-over
	}}
	go func() {
		defer close(done)
		keepOnce(disk, os.Args[1], os.Args[2])
	}()
	for {
		select {
		case do := <-calls:
			do()
		case <-done:
			return
		}
	}
}

// steppedChild is the same, but kills itself before the operation whose
// number is its last argument; 0 is none. It prints how many operations
// it executed.
const steppedChild = "stepped"

func runStepped() {
	last, err := strconv.ParseInt(os.Args[4], 10, 64)
	if err != nil {
		panic(err)
	}
	var steps atomic.Int64
	disk := &hookFS{lacks: os.Args[3], around: func(op string, do func()) {
		if op != "" && steps.Add(1) == last {
			fmt.Println(op)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		do()
	}}
	keepOnce(disk, os.Args[1], os.Args[2])
	fmt.Println(steps.Load())
}

// locationOf returns where the installation with this config is kept.
func locationOf(path string) idstore.Location {
	key, _ := jsonedit.ParseKey(rollcall.DefaultIDKey)
	enabled, _ := jsonedit.ParseKey(rollcall.DefaultConsentKey)
	return idstore.Location{ConfigPath: path, Key: key, EnabledKey: enabled}
}

func keepOnce(disk fsys.FS, path, order string) {
	store, err := locationOf(path).Open(disk)
	if err != nil {
		panic(err)
	}
	records, err := locationOf(path).OpenRecords(disk, store)
	if err != nil {
		panic(err)
	}
	keeper := keeper.New(store, keeper.Options{
		Attempts:       rollcall.DefaultAttempts,
		AttemptTimeout: patience, // so each run makes the same calls, however busy the machine is
		StartTimeout:   patience,
		Backoff:        rollcall.DefaultBackoff,
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = keeper.Start(ctx)
	for err == nil && !atRest(keeper.Status().Status) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err == nil && order == orderReset {
		_, err = keeper.Reset(ctx)
	}
	if err == nil && order == orderDisable {
		err = records.Deny(ctx, idstore.Telemetry, idstore.Denial{Denied: true, Since: time.Now(), By: "test"})
	}
	if err == nil {
		err = keeper.Stop(ctx)
	}
	if err != nil {
		panic(err)
	}
}

// TestD11KilledAtEachStepReal kills a process before each of the file
// operations of a save.
func TestD11KilledAtEachStepReal(t *testing.T) {
	t.Parallel()
	for i, c := range scenarios {
		if !chosen(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.site(t)
			steps, killed := c.runStepped(s, 0)
			total, err := strconv.Atoi(steps)
			if err != nil || killed || total < 10 {
				t.Fatalf("got %q without being killed", steps)
			}
			t.Logf("%d steps", total)
			s.wantNoTemps()
			for n := 1; ; n++ {
				c.begin(s)
				at, killed := c.runStepped(s, n)
				if !killed {
					if n < total {
						t.Errorf("not killed at step %d", n)
					}
					break
				}
				c.check(s, fmt.Sprintf("step %d, %s", n, at))
			}
		})
	}
}

func (c scenario) runStepped(s *site, n int) (output string, killed bool) {
	s.t.Helper()
	cmd := lab.Command(s.t, steppedChild, s.config, c.order, c.lacks, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), wasKilled(s.t, err)
}

// wasKilled reports whether a process was killed. It fails the test if
// the process failed in another way.
func wasKilled(t *testing.T, err error) bool {
	t.Helper()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	must(t, err)
	return false
}

// TestD11KilledAtEachCallReal kills a process at the system calls of a
// save, in the kernel's own order: at those that change something and the
// next ones, or at all of them when soaking.
func TestD11KilledAtEachCallReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Tool("strace"))
	for _, c := range scenarios {
		// A denial has a single write, which is not hit reliably among those of
		// the runtime. It makes the same calls as a reset.
		if c.order == orderDisable || !soaking() && (c.lacks != "" || c.name == "copy") || testing.Short() && c.name != "insert" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.site(t)
			calls, killed := c.trace(s, "")
			if killed || len(calls) < 10 {
				t.Fatalf("got %d calls without being killed: %v", len(calls), calls)
			}
			s.wantNoTemps()
			kills := make(map[string]int) // by name
			for i, call := range calls {
				if soaking() || call.changes() || i > 0 && calls[i-1].changes() {
					kills[c.killAt(s, calls, i)]++
				}
			}
			t.Logf("%d calls; killed at %v", len(calls), kills)
			for i, call := range calls {
				// The runtime writes, too, so the n-th write differs between runs.
				for range 5 {
					if call.changes() && kills[call.name] == 0 {
						kills[c.killAt(s, calls, i)]++
					}
				}
				if call.changes() && kills[call.name] == 0 {
					t.Errorf("never killed at %s", call.name)
				}
			}
		})
	}
}

// killAt kills a save at the i-th of the calls, and returns its name. It
// may be another call if the runtime made other calls in that thread than
// before.
func (c scenario) killAt(s *site, calls []call, i int) (name string) {
	s.t.Helper()
	want := calls[i]
	for range 10 {
		c.begin(s)
		done, killed := c.trace(s, fmt.Sprintf("%s:signal=KILL:when=%d", want.name, want.number))
		if killed {
			last := call{name: "nothing"}
			if len(done) > 0 {
				last = done[len(done)-1]
			}
			c.check(s, last.line)
			if name = last.name; name == want.name && last.changes() == want.changes() {
				return name
			}
		}
		c.begin(s)
		if again, _ := c.trace(s, ""); i < len(again) && again[i].name == want.name {
			want = again[i]
		}
	}
	return name
}

// A call is a system call on something in the directory.
type call struct {
	name   string
	number int // the number of calls of this name in the thread, including this one
	line   string
}

func (c call) changes() bool {
	switch c.name {
	case "openat", "openat2":
		return strings.Contains(c.line, "O_CREAT")
	case "write", "pwrite64", "fsync", "fchmod", "fchown", "linkat", "renameat", "renameat2", "unlinkat", "mkdirat":
		return true
	}
	return false
}

var tracedCall = regexp.MustCompile(`^([0-9]+) +([a-z0-9_]+)\(.*`)

// trace runs the save under strace, with the given injection, and returns
// the calls on something in the directory.
func (c scenario) trace(s *site, inject string) (calls []call, killed bool) {
	s.t.Helper()
	cmd := lab.Command(s.t, onceChild, s.config, c.order, c.lacks)
	strace, err := exec.LookPath("strace")
	must(s.t, err)
	trace := filepath.Join(s.t.TempDir(), "trace")
	args := []string{"strace", "-f", "-y", "-qq", "-o", trace, "-e", "trace=%file,%desc"}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	cmd.Args = slices.Concat(args, []string{cmd.Path}, cmd.Args[1:])
	cmd.Path = strace
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1") // no signals of the runtime
	cmd.Stderr = os.Stderr
	killed = wasKilled(s.t, cmd.Run())

	text, err := os.ReadFile(trace)
	must(s.t, err)
	counts := make(map[[2]string]int)
	for line := range strings.Lines(string(text)) {
		m := tracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, name := m[1], m[2]
		counts[[2]string{thread, name}]++
		if strings.Contains(line, s.dir+"/") || strings.Contains(line, s.dir+">") || strings.Contains(line, s.dir+`"`) {
			calls = append(calls, call{name, counts[[2]string{thread, name}], strings.TrimSpace(line)})
		}
	}
	return calls, killed
}

// resetterChild starts a service and then replaces the ID again and
// again, until that fails. It prints each ID when it is durable, one per
// line. Its argument is the config's path.
const resetterChild = "resetter"

func runResetter() {
	service, err := rollcall.New(rollcall.Config{ConfigPath: os.Args[1], Limits: patient})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := service.Start(ctx); err != nil {
		panic(err)
	}
	id := service.ID()
	if !service.Status().Persisted {
		os.Exit(1)
	}
	for err == nil {
		fmt.Println(id)
		id, err = service.Reset(ctx)
	}
}

// A resetter is such a process.
type resetter struct {
	t     *testing.T
	cmd   *exec.Cmd
	heard sync.WaitGroup

	mu    sync.Mutex
	acked []string // the durable IDs received so far
}

func (s *site) resetter() *resetter {
	s.t.Helper()
	r := &resetter{t: s.t, cmd: lab.Command(s.t, resetterChild, s.config)}
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, r.cmd.Start())
	r.heard.Go(func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			r.mu.Lock()
			r.acked = append(r.acked, in.Text())
			r.mu.Unlock()
		}
	})
	return r
}

// first waits for the first ID.
func (r *resetter) first() {
	r.t.Helper()
	eventually(r.t, "an ID is durable", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.acked) > 0
	})
}

// kill kills the process, unless it has exited, and returns everything
// that it printed.
func (r *resetter) kill() (acked []string) {
	r.t.Helper()
	r.cmd.Process.Kill()
	r.heard.Wait()
	r.cmd.Wait()
	return r.acked
}
