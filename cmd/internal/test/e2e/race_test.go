//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// TestD13Race64 starts 64 processes at the same time on one config, and
// again when an ID is stored, for many rounds.
func TestD13Race64(t *testing.T) {
	const processes = 64
	for round := range quickOr(3, 100) {
		config := plainConfig
		if round%3 == 1 {
			config = "" // they create it, and its directory
		}
		isolate := round%10 == 9
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			s := siteIn(t, filepath.Join(t.TempDir(), "directory"), "")
			if s.before = config; config != "" {
				must(t, os.Mkdir(s.dir, 0o755))
				s.write("config.json", config)
			}
			watch := s.watch()
			change := func(s *setup) { s.Isolate = isolate }
			first := s.raceOf(processes, "", change)
			again := s.raceOf(processes/2, first, change)
			watch.end()
			s.wantNoTemps()
			if again != first {
				t.Errorf("got ID %q after a restart, want %q", again, first)
			}
		})
	}
}

// raceOf starts the services of all hosts at the same time, and returns
// the one ID that they have to agree on.
func (s *site) raceOf(n int, want string, change func(*setup)) string {
	s.t.Helper()
	hosts := make([]*host, n)
	for i := range hosts {
		hosts[i] = s.host(change)
	}
	for _, h := range hosts { // wait until all of them are there
		h.status()
	}
	replies := startAll(hosts)
	ids := make(map[string]int)
	for i, r := range replies {
		ids[r.ID.String()]++
		if !r.Status.Persisted {
			s.t.Errorf("not persisted: %+v, log %q", r.Status, hosts[i].lines())
		}
	}
	if len(ids) != 1 || want != "" && ids[want] != n {
		s.t.Errorf("got IDs %v, want one, %q", ids, want)
	}
	id := hosts[0].awaitPersisted().ID
	for _, h := range hosts {
		h.awaitPersisted()
	}
	s.wantStored(id)
	s.t.Logf("the slowest of %d started after %v", n, slowest(replies))
	for _, h := range hosts {
		h.send(doExit)
	}
	for _, h := range hosts {
		h.awaitExit()
	}
	return id.String()
}

// A watch reads a config again and again, as programs do that see every
// moment of it.
type watch struct {
	s    *site
	stop chan struct{}
	done chan struct{}
	seen int
	bad  []string // what was invalid
}

func (s *site) watch() *watch {
	w := &watch{s: s, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
			data, err := os.ReadFile(s.config)
			if err != nil {
				continue
			}
			w.seen++
			if unmarshal(data, new(any)) != nil {
				w.bad = append(w.bad, string(data))
			}
		}
	}()
	return w
}

func (w *watch) end() {
	w.s.t.Helper()
	close(w.stop)
	<-w.done
	w.s.t.Logf("the config was read %d times meanwhile", w.seen)
	if len(w.bad) > 0 {
		w.s.t.Errorf("%d of %d times the config was not valid, first:\n%s", len(w.bad), w.seen, w.bad[0])
	}
}

// hostSettings are the settings of a host that knows nothing of telemetry
// but the switch.
type hostSettings struct {
	Name      string `json:"name"`
	Counter   int    `json:"counter"`
	Telemetry struct {
		Enabled bool `json:"enabled"`
	} `json:"telemetry"`
	Motto string `json:"motto"`
}

// settledBound bounds how long a service repairs what it did while a host saved.
// That takes milliseconds, or longer if the machine stalls.
const settledBound = 30 * time.Second

// savingChild is a host that saves all of its settings again and again,
// until its standard input ends. It counts up each time, prints the last
// count that it saved, and complains if a save is gone after a while. Its
// arguments are the config's path and the way to save.
const savingChild = "saving"

func runSaving() {
	path, how := os.Args[1], edit(os.Args[2])
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	settings := hostSettings{Name: "host", Motto: strings.Repeat("x", 500)}
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		settings.Counter++
		data, err := json.MarshalIndent(settings, "", "  ")
		if err != nil {
			panic(err)
		}
		if err := how.save(path, string(data)+"\n"); err != nil {
			panic(err)
		}
		if settings.Counter%25 > 0 {
			time.Sleep(rand.N(4 * time.Millisecond))
			continue
		}
		// A pause, after which the save has to be there. A service may
		// have to repair what it did in this moment.
		var now hostSettings
		for deadline := time.Now().Add(settledBound); ; time.Sleep(10 * time.Millisecond) {
			data, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(data, &now)
			}
			if err == nil && now.Counter == settings.Counter {
				break
			}
			if time.Now().After(deadline) {
				fmt.Printf("saved %d, and after a while there is %d, %v\n", settings.Counter, now.Counter, err)
				break
			}
		}
		time.Sleep(rand.N(20 * time.Millisecond))
	}
	fmt.Println(settings.Counter)
}

// patient has limits that no attempt reaches, however busy the machine is.
var patient = rollcall.Limits{AttemptTimeout: patience, StartTimeout: patience}

// restartingChild starts and stops a service again and again, until its
// standard input ends, and prints each new ID. Its argument is the
// config's path.
const restartingChild = "restarting"

func runRestarting() {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	ctx := context.Background()
	var last installid.ID
	var services []*rollcall.Service
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		service, err := rollcall.New(rollcall.Config{ConfigPath: os.Args[1], Limits: patient})
		if err == nil {
			err = service.Start(ctx)
		}
		if err != nil {
			panic(err)
		}
		life := 30 * time.Millisecond
		if rand.N(10) == 0 {
			life *= 20 // long enough to save on a busy machine, too
		}
		time.Sleep(rand.N(life))
		if err := service.Stop(ctx); err != nil {
			panic(err)
		}
		if id := service.ID(); id != last {
			last = id
			fmt.Println(id)
		}
		if st := service.Status(); !st.Persisted {
			fmt.Printf("not persisted: %s\n", st.Reason)
		}
		services = append(services, service)
	}
	// Stop does not wait for operations in flight, and a process that
	// exits then leaves a temporary file behind.
	for _, service := range services {
		for service.Status().Stuck != "" {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestD14HostSaves has a host that saves its own settings before, during
// and after the saves of services that start and stop all the time.
func TestD14HostSaves(t *testing.T) {
	t.Parallel()
	for _, how := range []edit{byRename, inPlace} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			long := time.Duration(quickOr(4, 120)) * time.Second

			saving := s.talker(savingChild, string(how))
			eventually(t, "the host has saved", func() bool { return s.configNow() != "" })
			counters := s.watchCounter(how)
			var services []*talker
			for range 4 {
				services = append(services, s.talker(restartingChild))
			}
			time.Sleep(long)
			// Processes restart too.
			for i := range services[:2] {
				services[i].end()
				services = append(services, s.talker(restartingChild))
			}
			time.Sleep(long / 4)
			eventually(t, "a service has saved the ID meanwhile", func() bool { return counters.withID.Load() > 0 })
			for _, service := range services {
				service.end()
			}
			saving.end()
			counters.end()

			last, err := strconv.Atoi(saving.printed[len(saving.printed)-1])
			must(t, err)
			for _, complaint := range saving.printed[:len(saving.printed)-1] {
				t.Errorf("a save of the host was lost: %s", complaint)
			}
			var now hostSettings
			if err := json.Unmarshal([]byte(s.configNow()), &now); err != nil || now.Counter != last {
				t.Errorf("got counter %d, %v, at last, want %d", now.Counter, err, last)
			}
			ids := make(map[string]int)
			for _, service := range services {
				for _, id := range service.printed {
					ids[id]++
				}
			}
			if len(ids) != 1 {
				t.Errorf("got IDs %v, want one", ids)
			}
			t.Logf("%d saves of the host; %d reads, %d of them with an ID, %d of a moment before",
				last, counters.reads, counters.withID.Load(), counters.glimpses)

			// At rest the ID is back, and everything else is as the host
			// wants it.
			id := s.restart()
			if ids[id.String()] == 0 {
				t.Errorf("got ID %q after all, not one of %v", id, ids)
			}
			if err := json.Unmarshal([]byte(s.configNow()), &now); err != nil || now.Counter != last || s.idNow() != id.String() {
				t.Errorf("got config\n%s", s.configNow())
			}
			s.wantNoTemps()
		})
	}
}

// A counterWatch reads the host's counter again and again. Where files
// are exchanged and compared, it may go back for a moment, but then
// return to what was there, or something newer.
type counterWatch struct {
	stop, done      chan struct{}
	reads, glimpses int          // read after end
	withID          atomic.Int64 // reads that saw an ID
}

func (s *site) watchCounter(how edit) *counterWatch {
	w := &counterWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		newest := 0
		var back time.Time // since when it has been older
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
			data, err := os.ReadFile(s.config)
			if err != nil {
				s.t.Errorf("the config is gone: %v", err)
				return
			}
			var now hostSettings
			if err := json.Unmarshal(data, &now); err != nil {
				if how == byRename {
					s.t.Errorf("the config is not valid: %v\n%s", err, data)
					return
				}
				continue // the host itself is writing
			}
			w.reads++
			if strings.Contains(string(data), "installation_id") {
				w.withID.Add(1)
			}
			switch {
			case now.Counter >= newest:
				newest, back = now.Counter, time.Time{}
			case back.IsZero():
				w.glimpses++
				back = time.Now()
			case time.Since(back) > settledBound:
				s.t.Errorf("the counter went back from %d to %d, and stays there", newest, now.Counter)
				return
			}
		}
	}()
	return w
}

func (w *counterWatch) end() {
	close(w.stop)
	<-w.done
}

// A talker is a process that works on the config and prints lines, until
// its standard input ends.
type talker struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.Closer
	heard   sync.WaitGroup
	printed []string
}

func (s *site) talker(child string, args ...string) *talker {
	s.t.Helper()
	return s.talkerAs(0, child, args...)
}

// talkerAs is talker as another user, unless that is 0.
func (s *site) talkerAs(uid int, child string, args ...string) *talker {
	s.t.Helper()
	p := &talker{t: s.t, cmd: lab.Command(s.t, child, append([]string{s.config}, args...)...)}
	if uid != 0 {
		lab.AsUser(p.cmd, uid)
	}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	must(s.t, err)
	out, err := p.cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, p.cmd.Start())
	p.in = in
	p.heard.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.printed = append(p.printed, lines.Text())
		}
	})
	return p
}

// end lets the process exit, and waits for it. It may be called
// repeatedly.
func (p *talker) end() {
	p.t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	p.in.Close()
	p.heard.Wait()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v", p.cmd.Args[1:], err)
	}
}

// lockerChild takes the lock of a directory, says so, and keeps it for
// ever.
const lockerChild = "locker"

func runLocker() {
	if _, err := (fsys.OS{}).LockDir(os.Args[1]); err != nil {
		panic(err)
	}
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
}

// lock lets another process take the lock of the site's directory.
func (s *site) lock() *exec.Cmd {
	s.t.Helper()
	cmd := lab.Command(s.t, lockerChild, s.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(s.t, err)
	s.t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		s.t.Fatalf("got %q, %v", line, err)
	}
	return cmd
}

// TestD20LockReal has another process that holds the lock.
func TestD20LockReal(t *testing.T) {
	t.Parallel()
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		for _, config := range []string{plainConfig, ""} {
			s := newSite(t, config)
			s.lock()
			h := s.host()
			r := h.start()
			t.Logf("started after %v", r.Took)
			if !r.Status.Persisted || r.Took > startBound {
				t.Errorf("got %+v after %v", r.Status, r.Took)
			}
			h.awaitPersisted()
			s.wantStored(r.ID)
			again := s.host()
			if stored := again.start(); stored.ID != r.ID || stored.Took > noWait {
				t.Errorf("after a restart: got %+v after %v", stored.Status, stored.Took)
			}
			h.exit()
			again.exit()
		}
	})
	t.Run("for ever, short attempts", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, plainConfig)
		s.lock()
		h := s.host(scaled) // an attempt is shorter than the wait for the lock; the background is more patient
		r := h.start()
		t.Logf("started after %v, persisted: %v", r.Took, r.Status.Persisted)
		if r.Took > startBound {
			t.Errorf("started after %v", r.Took)
		}
		h.awaitPersisted()
		s.wantStored(r.ID)
		h.exit()
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, plainConfig)
		must(t, s.lock().Process.Signal(unix.SIGSTOP))
		h := s.host()
		if r := h.start(); !r.Status.Persisted || r.Took > startBound {
			t.Errorf("got %+v after %v", r.Status, r.Took)
		}
		h.awaitPersisted()
		h.exit()
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, plainConfig)
		holder := s.lock()
		must(t, holder.Process.Kill())
		holder.Wait()
		unlock, err := fsys.OS{}.LockDir(s.dir)
		must(t, err) // the lock ended with its process, so nobody has to wait for it
		unlock()
		h := s.host()
		if r := h.start(); !r.Status.Persisted {
			t.Errorf("got %+v after %v", r.Status, r.Took)
		}
		h.exit()
	})
}

// TestD18SweepReal has temporary files of other processes beside the
// config.
func TestD18SweepReal(t *testing.T) {
	t.Parallel()
	s := newSite(t, withID(plainConfig, knownID))
	s.write(filepath.Base(s.anchor), knownID+"\n")
	name := func(of string, age time.Duration) string {
		return fmt.Sprintf(".%s.rollcall-%d-ABCDEFGH.tmp", of, time.Now().Add(-age).Unix())
	}
	old := []string{
		name("config.json", 11*time.Minute), name("config.json", 1000*time.Hour), name(".config.json.installation-id", 11*time.Minute),
		name("config.json", -time.Hour), // by a clock that was ahead
	}
	kept := []string{
		name("config.json", time.Minute), name(".config.json.installation-id", 0), name("config.json", -time.Minute),
		name("other.json", time.Hour), // of another config
		"config.json.tmp", ".config.json.swp", ".config.json.rollcall-old.tmp", "config.json~",
		strings.TrimPrefix(name("config.json", time.Hour), "."), name("config.json", time.Hour) + ".bak",
	}
	for _, name := range slices.Concat(old, kept) {
		s.write(name, "of somebody else")
	}

	holder := s.lock() // somebody is saving, so nothing is swept
	s.restart()
	s.wantNames(old, true)
	s.wantNames(kept, true)
	must(t, holder.Process.Kill())
	holder.Wait()
	s.restart()
	s.wantNames(old, false)
	s.wantNames(kept, true)
	s.wantConfig(withID(plainConfig, knownID))
}

func (s *site) wantNames(names []string, there bool) {
	s.t.Helper()
	now := s.names()
	for _, name := range names {
		if slices.Contains(now, name) != there {
			s.t.Errorf("%s is there: %v, want %v", name, !there, there)
		}
	}
}

// TestD18InUseReal has a process that hangs in the middle of a save, and
// others that start meanwhile. They leave its temporary file alone,
// however old it looks.
func TestD18InUseReal(t *testing.T) {
	t.Parallel()
	s := newFaultSite(t, withID(plainConfig, knownID))
	s.write(filepath.Base(s.anchor), knownID+"\n")
	slow := s.host()
	slow.start()
	fault := s.faults.Hang(lab.Fsync, ".tmp", 1)
	slow.send(doReset)
	fault.Await(1)
	temps := s.temps()
	if len(temps) != 1 {
		t.Fatalf("got temporary files %q, want one", temps)
	}
	// The clock may have been wrong when it was created.
	other := fmt.Sprintf(".config.json.rollcall-%d-ABCDEFGH.tmp", time.Now().Add(-time.Hour).Unix())
	s.write(other, "of another process that is about to use it")
	h := s.host()
	h.start()
	h.awaitPersisted()
	if now := s.temps(); !slices.Contains(now, temps[0]) || !slices.Contains(now, other) {
		t.Errorf("got temporary files %q, want %q and %q, while one process is saving", now, temps[0], other)
	}
	fault.Release()
	r := slow.receive()
	s.quiet()
	if s.idNow() != r.ID.String() {
		t.Errorf("got ID %q, want %q", s.idNow(), r.ID)
	}
	slow.exit()
	h.exit()
}
