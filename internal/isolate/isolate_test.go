package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/isolate"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

const (
	// noHook makes a test process not call RunChild. parent makes it load the
	// ID in a directory.
	noHook = "ROLLCALL_TEST_NO_HOOK"
	parent = "ROLLCALL_TEST_PARENT"

	// patience limits waits that should take a moment.
	patience = 20 * time.Second
)

var (
	known = must(installid.Parse("0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"))
	other = must(installid.Parse("7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"))
)

func must(id installid.ID, err error) installid.ID {
	if err != nil {
		panic(err)
	}
	return id
}

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // each child would take a second to end
	if os.Getenv(noHook) == "" {
		isolate.RunChildAfter(misbehave)
	}
	if dir := os.Getenv(parent); dir != "" {
		store, err := isolate.NewStore(in(dir))
		if err == nil {
			_, err = store.Load(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Files next to the config make a child misbehave. It has no environment that
// could.
const (
	hang   = "hang"   // it waits until the file is gone, as the kernel would
	linger = "linger" // it waits until the parent gives up
	crash  = "crash"
	report = "report" // it writes its environment to the file
	count  = "count"  // it only leaves its process number

	began = "began-" // with the process number: a file of each child
	ended = "ended"
)

func misbehave(ctx context.Context, l idstore.Location) {
	dir := filepath.Dir(l.ConfigPath)
	file := func(name string) string { return filepath.Join(dir, name) }
	has := func(name string) bool {
		_, err := os.Stat(file(name))
		return err == nil
	}
	if entries, _ := os.ReadDir(dir); len(entries) == 0 {
		return
	}
	if has(hang) || has(linger) || has(count) {
		os.WriteFile(file(fmt.Sprint(began, os.Getpid())), nil, 0o600)
	}
	switch {
	case has(hang):
		for begin := time.Now(); has(hang) && time.Since(begin) < time.Minute; {
			time.Sleep(5 * time.Millisecond)
		}
		os.WriteFile(file(ended), nil, 0o600)
	case has(linger):
		select {
		case <-ctx.Done():
			os.WriteFile(file(ended), nil, 0o600)
		case <-time.After(time.Minute):
		}
	case has(crash):
		os.Exit(3)
	case has(report):
		wd, _ := os.Getwd()
		os.WriteFile(file(report), []byte(strings.Join(append(os.Environ(), "wd "+wd), "\n")), 0o600)
	}
}

func in(dir string) idstore.Location {
	return idstore.Location{
		TrustDisk:  true, // that of the test run may be a container's
		ConfigPath: filepath.Join(dir, "config.json"),
		Key:        jsonedit.Key{"telemetry", "installation_id"},
		EnabledKey: jsonedit.Key{"telemetry", "enabled"},
	}
}

func newStore(t *testing.T, l idstore.Location) *isolate.Store {
	t.Helper()
	store, err := isolate.NewStore(l)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func write(t *testing.T, name, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until is returns true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// children returns the process numbers of the children that have begun.
func children(t *testing.T, dir string) (numbers []int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, began+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var number int
		if _, err := fmt.Sscanf(filepath.Base(name), began+"%d", &number); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
	return numbers
}

// A judgement holds what callers branch on.
type judgement struct {
	Text                                          string
	Permanent, NotFound, Empty, NotExist, Timeout bool
}

func judge(err error) (j judgement) {
	if err == nil {
		return j
	}
	return judgement{
		Text:      err.Error(),
		Permanent: configfile.Permanent(err),
		NotFound:  errors.Is(err, keeper.ErrNotFound),
		Empty:     errors.Is(err, jsonedit.ErrEmpty),
		NotExist:  errors.Is(err, fs.ErrNotExist),
		Timeout:   errors.Is(err, flight.ErrTimeout),
	}
}

// An outcome is everything visible of a sequence of operations.
type outcome struct {
	Steps []step
	Files map[string]string
}

type step struct {
	Op     string
	Record keeper.Record
	Err    judgement
}

// perform calls every method of a store, in an order in which each has
// something to do.
func perform(t *testing.T, store keeper.Store, root string) (o outcome) {
	ctx := t.Context()
	do := func(op string, rec keeper.Record, err error) { o.Steps = append(o.Steps, step{op, rec, judge(err)}) }
	load := func() {
		rec, err := store.Load(ctx)
		do("load", rec, err)
	}
	load()
	rec, err := store.Save(ctx, known)
	do("save", rec, err)
	load()
	rec, err = store.Maintain(ctx, known)
	do("maintain", rec, err)
	do("recover", keeper.Record{}, store.Recover(ctx))
	rec, err = store.Replace(ctx, known, other)
	do("replace", rec, err)
	load()
	o.Files = make(map[string]string)
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		o.Files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestSameResults: records, errors and files are the same in this process and
// in a child.
func TestSameResults(t *testing.T) {
	config := func(content string, mode fs.FileMode) func(*testing.T, idstore.Location) {
		return func(t *testing.T, l idstore.Location) { write(t, l.ConfigPath, content, mode) }
	}
	tests := map[string]struct {
		set  func(*testing.T, idstore.Location)
		with func(dir string, l *idstore.Location)
	}{
		"missing":       {},
		"no ID":         {set: config(`{"a": 1, "telemetry": {"enabled": true}}`, 0o640)},
		"an ID":         {set: config(`{"telemetry": {"installation_id": "`+strings.ToUpper(other.String())+`"}}`, 0o644)},
		"not an ID":     {set: config(`{"telemetry": {"installation_id": 7}}`, 0o644)},
		"malformed":     {set: config("{\n  \"a\": oh\n}", 0o644)},
		"truncated":     {set: config(`{"a": `, 0o644)},
		"empty":         {set: config("", 0o644)},
		"not an object": {set: config("[]", 0o644)},
		"read-only":     {set: config("{}", 0o444)},
		"a directory":   {set: func(t *testing.T, l idstore.Location) { write(t, filepath.Join(l.ConfigPath, "x"), "", 0o644) }},
		"damaged anchor": {set: func(t *testing.T, l idstore.Location) {
			write(t, filepath.Join(filepath.Dir(l.ConfigPath), ".config.json.installation-id"), "oh", 0o644)
		}},
		"read-only, separate anchor": {
			set:  config("{}", 0o444),
			with: func(dir string, l *idstore.Location) { l.AnchorDir = filepath.Join(dir, "state") },
		},
		"state file": {with: func(dir string, l *idstore.Location) {
			*l = idstore.Location{TrustDisk: true, StateFile: filepath.Join(dir, "state", "installation-id")}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			dir := filepath.Join(t.TempDir(), "x")
			run := func(open func(idstore.Location) keeper.Store) outcome {
				if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
					t.Fatal(err)
				}
				l := in(dir)
				if tt.with != nil {
					tt.with(dir, &l)
				}
				if tt.set != nil {
					tt.set(t, l)
				}
				return perform(t, open(l), dir)
			}
			want := run(func(l idstore.Location) keeper.Store {
				store, err := l.Open(fsys.OS{})
				if err != nil {
					t.Fatal(err)
				}
				return store
			})
			got := run(func(l idstore.Location) keeper.Store { return newStore(t, l) })
			for i := range want.Steps {
				if !reflect.DeepEqual(got.Steps[i], want.Steps[i]) {
					t.Errorf("step %d: got\n%+v\nwant\n%+v", i, got.Steps[i], want.Steps[i])
				}
			}
			if !maps.Equal(got.Files, want.Files) {
				t.Errorf("got files\n%q\nwant\n%q", got.Files, want.Files)
			}
		})
	}
}

// TestTimeout: a child that hangs costs the caller its limit, and no other child
// is started meanwhile.
func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, hang), "", 0o600)
	store := newStore(t, in(dir))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begin := time.Now()
		_, err := store.Load(ctx)
		cancel()
		if !errors.Is(err, flight.ErrTimeout) || configfile.Permanent(err) || errors.Is(err, keeper.ErrNotFound) {
			t.Errorf("got error %v", err)
		}
		if d := time.Since(begin); d > patience {
			t.Errorf("waited %v", d)
		}
	}
	eventually(t, "a child has begun", func() bool { return len(children(t, dir)) > 0 })
	if n := len(children(t, dir)); n != 1 {
		t.Errorf("%d children", n)
	}
	if op, since := store.Running(); op == "" || since.IsZero() {
		t.Error("no operation is running")
	}
	if err := os.Remove(filepath.Join(dir, hang)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(t.Context()); !errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("got error %v once nothing hangs", err)
	}
	if op, _ := store.Running(); op != "" {
		t.Errorf("still running: %s", op)
	}
}

// TestChildEndsWithItsInput: a child that is given up stops at its next step.
func TestChildEndsWithItsInput(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, linger), "", 0o600)
	store := newStore(t, in(dir))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(patience, cancel)
	go func() {
		for len(children(t, dir)) == 0 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := store.Save(ctx, known); !errors.Is(err, flight.ErrTimeout) {
		t.Errorf("got error %v", err)
	}
	eventually(t, "the child is gone", func() bool {
		op, _ := store.Running()
		return op == ""
	})
	if !exists(filepath.Join(dir, ended)) {
		t.Error("the operation was not canceled")
	}
	if exists(in(dir).ConfigPath) {
		t.Error("the abandoned operation was carried out")
	}
}

// TestParentKilled: the child of a parent that is killed ends by itself.
func TestParentKilled(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, linger), "", 0o600)
	p := exec.CommandContext(t.Context(), os.Args[0])
	p.Env = append(os.Environ(), parent+"="+dir)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child has begun", func() bool { return len(children(t, dir)) == 1 })
	p.Process.Kill()
	p.Wait()
	eventually(t, "the child has ended", func() bool { return exists(filepath.Join(dir, ended)) })
}

// TestCrash: a child that ends without an answer is a transient error.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, crash), "", 0o600)
	_, err := newStore(t, in(dir)).Load(t.Context())
	if j := judge(err); err == nil || j.Permanent || j.NotFound || j.Timeout || !strings.Contains(j.Text, "child process") || !strings.Contains(j.Text, "exit status 3") {
		t.Errorf("got %+v", j)
	}
}

// TestEnvironment is C10: a child gets next to nothing of the environment.
func TestEnvironment(t *testing.T) {
	t.Setenv("ROLLCALL_INSTALLATION_ID", known.String())
	t.Setenv("SECRET", "x")
	dir := t.TempDir()
	write(t, filepath.Join(dir, report), "", 0o600)
	if _, err := newStore(t, in(dir)).Load(t.Context()); !errors.Is(err, keeper.ErrNotFound) {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, report))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(string(data), "\n")
	got = slices.DeleteFunc(got, func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains([]string{"SystemRoot", "SystemDrive", "GORACE", "GOCOVERDIR"}, name) || strings.HasPrefix(name, "WINE")
	})
	slices.Sort(got)
	root, err := filepath.Abs(string(os.PathSeparator))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"GOMAXPROCS=1", "ROLLCALL_ISOLATED_CHILD=2", "wd " + root}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoHook runs in a process that has not called RunChild.
func TestNoHook(t *testing.T) {
	if os.Getenv(noHook) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoHook$", "-test.count=1")
		cmd.Env = append(os.Environ(), noHook+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	if _, err := isolate.NewStore(in(t.TempDir())); !errors.Is(err, isolate.ErrNoHook) {
		t.Errorf("got error %v", err)
	}
}

func TestNewStoreRefuses(t *testing.T) {
	for name, l := range map[string]idstore.Location{
		"relative": {ConfigPath: "config.json"},
		"two":      {ConfigPath: "/a", StateFile: "/b"},
		"none":     {},
	} {
		if _, err := isolate.NewStore(l); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestAnyPath: a path need not be UTF-8.
func TestAnyPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems may refuse such a name")
	}
	dir := filepath.Join(t.TempDir(), "\xff\x01 ")
	store := newStore(t, in(dir))
	if rec, err := store.Save(t.Context(), known); err != nil || rec.ID != known {
		t.Fatalf("got %+v, %v", rec, err)
	}
	rec, err := store.Load(t.Context())
	if want := "config " + filepath.Join(dir, "config.json") + ", key telemetry.installation_id"; err != nil || rec.ID != known || rec.Place != want {
		t.Errorf("got %+v, %v, want %s at %q", rec, err, known, want)
	}
}

// TestServe sends a child what no parent sends.
func TestServe(t *testing.T) {
	nowhere := in(filepath.Join(t.TempDir(), "nowhere", "at", "all"))
	load := isolate.Request("load", nowhere)
	tests := []struct {
		name, in string
		code     int
		says     string
		notFound bool
	}{
		{"nothing", "", 0, "", false},
		{"garbage", "GET / HTTP/1.1", 2, "", false},
		{"half a length", load[:2], 2, "", false},
		{"half a request", load[:len(load)-1], 2, "", false},
		{"another type", "\x00\x00\x00\x02[]", 2, "", false},
		{"too long", "\x7f\xff\xff\xff" + strings.Repeat("x", 1<<20), 2, "", false},
		{"unknown operation", isolate.Request("rm", nowhere), 0, `unknown request "rm"`, false},
		{"no place", isolate.Request("load", idstore.Location{}), 0, "not an absolute path", false},
		{"a request", load, 0, "no installation ID is stored", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, feed := io.Pipe() // stays open until the answer, as from a parent that waits
			answers, out := io.Pipe()
			var text string
			var notFound bool
			go func() {
				io.WriteString(feed, tt.in)
				if tt.says != "" {
					text, notFound, _ = isolate.ReadAnswer(answers)
				}
				feed.Close()
			}()
			if code := isolate.Serve(in, out); code != tt.code {
				t.Errorf("got code %d, want %d", code, tt.code)
			}
			if !strings.Contains(text, tt.says) || notFound != tt.notFound {
				t.Errorf("got answer %q, not found %v, want %q in it and %v", text, notFound, tt.says, tt.notFound)
			}
		})
	}
}

// TestNothingLeft: operations leave no goroutines behind.
func TestNothingLeft(t *testing.T) {
	store := newStore(t, in(t.TempDir()))
	before := runtime.NumGoroutine()
	for range 3 {
		store.Save(t.Context(), known)
	}
	eventually(t, "no goroutine more than before", func() bool { return runtime.NumGoroutine() <= before })
}

// TestRecords: the child keeps the records too.
func TestRecords(t *testing.T) {
	dir := t.TempDir()
	write(t, in(dir).ConfigPath, "{\"telemetry\": {\"enabled\": false}}\n", 0o644)
	store, ctx := newStore(t, in(dir)), t.Context()
	keys := []jsonedit.Key{in(dir).EnabledKey, {"none"}}
	enabled := func() jsonedit.Value {
		t.Helper()
		d := store.ReadDecisions(ctx, keys, nil)
		values, err := d.Config, d.ConfigErr
		if err != nil || len(values) != 2 || values[1].Kind != jsonedit.Absent {
			t.Fatalf("got %v, %v", values, err)
		}
		return values[0]
	}
	if v := enabled(); v.Kind != jsonedit.Bool || v.Text != "false" {
		t.Errorf("got %v", v)
	}
	if err := store.CheckWrite(ctx, keys[0]); err != nil {
		t.Errorf("got %v", err)
	}
	if err := store.WriteValue(ctx, keys[0], "true"); err != nil {
		t.Fatal(err)
	}
	if v := enabled(); v.Text != "true" {
		t.Errorf("got %v", v)
	}
	if _, err := store.LoadNote(ctx, idstore.StateNote); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	const state = `{"last":1}`
	if err := store.SaveNote(ctx, idstore.StateNote, []byte(state)); err != nil {
		t.Fatal(err)
	}
	if got, err := store.LoadNote(ctx, idstore.StateNote); err != nil || string(got) != state {
		t.Errorf("got state %q, %v", got, err)
	}
	if _, err := store.LoadNote(ctx, idstore.HostNote); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	host := `"` + strings.Repeat("x", 16<<10-2) + `"` // as long as allowed
	if err := store.SaveNote(ctx, idstore.HostNote, []byte(host)); err != nil {
		t.Fatal(err)
	}
	if got, err := store.LoadNote(ctx, idstore.HostNote); err != nil || string(got) != host {
		t.Errorf("got %d bytes, %v, of what the host set", len(got), err)
	}
	if d := store.ReadDecisions(ctx, nil, keys); d.PolicyErr != nil || len(d.Policy) != 2 || d.Config != nil {
		t.Errorf("got %+v of the policy", d)
	}
	if _, err := store.ReadOperator(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v for the token", err)
	}
	created, err := store.CreateToken(ctx)
	if err != nil || len(created.Token) != 26 || filepath.Dir(created.TokenPath) != dir {
		t.Errorf("got %+v, %v", created, err)
	}
	if uid := os.Getuid(); created.Owner != uid {
		t.Errorf("got owner %d, want %d", created.Owner, uid)
	}
	if read, err := store.ReadOperator(ctx); read != created || err != nil {
		t.Errorf("got %+v, %v, want %+v", read, err, created)
	}
	if findings, err := store.Diagnose(ctx); err != nil || len(findings) == 0 {
		t.Errorf("got findings %v, %v", findings, err)
	}
}

// TestOneChild: one child serves all requests that come soon after each other.
func TestOneChild(t *testing.T) {
	for range 10 {
		begin := time.Now()
		counts, err := countChildren(t)
		if time.Since(begin) >= 2*time.Second {
			continue // an idle child may have ended by itself
		}
		if want := []int{1, 2, 3}; err != nil || !slices.Equal(counts, want) {
			t.Errorf("got %d children, %v, want %d", counts, err, want)
		}
		return
	}
	t.Fatal("ten times, the requests took two seconds")
}

// countChildren returns how many children had started after some requests, after
// another one once the idle child was killed, and after another once it was closed.
func countChildren(t *testing.T) (counts []int, err error) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, count), "", 0o600)
	store, ctx := newStore(t, in(dir)), t.Context()
	for range 10 {
		if _, err := store.Save(ctx, known); err != nil {
			t.Fatal(err)
		}
		if d := store.ReadDecisions(ctx, []jsonedit.Key{{"a"}}, []jsonedit.Key{{"b"}}); d.ConfigErr != nil || d.PolicyErr != nil {
			t.Fatalf("got %+v", d)
		}
	}
	numbers := children(t, dir)
	process, err := os.FindProcess(numbers[0])
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		return nil, fmt.Errorf("kill child: %w", err)
	}
	counts = append(counts, len(numbers))
	if _, err := store.Load(ctx); err != nil {
		t.Errorf("after the idle child was killed: %v", err)
	}
	counts = append(counts, len(children(t, dir)))
	store.CloseIdle()
	if _, err := store.Load(ctx); err != nil {
		t.Errorf("after CloseIdle: %v", err)
	}
	return append(counts, len(children(t, dir))), nil
}

// TestIdleChildEnds: a child ends soon after its last request.
func TestIdleChildEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("signal 0 is of Unix")
	}
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	write(t, filepath.Join(dir, count), "", 0o600)
	begin := time.Now()
	newStore(t, in(dir)).Load(t.Context())
	process, err := os.FindProcess(children(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	runs := func() bool { return process.Signal(syscall.Signal(0)) == nil }
	time.Sleep(time.Second)
	if !runs() && time.Since(begin) < 1900*time.Millisecond {
		t.Error("the child ended within 1.9 seconds")
	}
	eventually(t, "the child has ended", func() bool { return !runs() })
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	store, err := isolate.NewStore(in(dir))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.Save(b.Context(), known); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := store.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
