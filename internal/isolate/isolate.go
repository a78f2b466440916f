// Package isolate does the file work of an installation ID in a child process, so that a thread which the kernel holds
// in an uninterruptible wait belongs to that process and not to the host.
//
// The child is the host's own binary, run again with an environment variable set; the host calls [RunChild] first in
// main, as container tools do. It gets one request on its standard input and gives one answer on its standard output.
// When the parent gives up, it closes the child's input: the child then stops at the next step it reaches, as an
// abandoned operation does inside a process, having put back what it must. It is not killed, since a rename that it
// waits for could still be carried out, with nobody left to look at what was displaced. So a child on a hung disk is
// left behind, at most one, and ends by itself.
package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// childVariable tells a process that it is a child. Its value is the version of the protocol.
const (
	childVariable   = "ROLLCALL_ISOLATED_CHILD"
	protocolVersion = "1"
	// maxMessage bounds a request and an answer.
	maxMessage = 64 << 10
)

// ErrNoHook says that the host did not call RunChild, so that the child would run the host's own main.
var ErrNoHook = errors.New("the host has to call rollcall.RunChild first in main")

// hooked is whether RunChild was called in this process. It is the one variable of this package that changes: whether
// the hook is there is a property of the program, and starting the host a second time would be worse than any global.
var hooked atomic.Bool

// RunChild does the work of a child and ends the process, if it is one, and returns at once otherwise.
func RunChild() {
	hooked.Store(true)
	if os.Getenv(childVariable) != protocolVersion {
		return
	}
	os.Exit(serve(os.Stdin, os.Stdout))
}

type request struct {
	Op       string           `json:"op"`
	Location idstore.Location `json:"location"`
	ID       installid.ID     `json:"id,omitzero"`
	Keys     []jsonedit.Key   `json:"keys,omitempty"`
	Literal  string           `json:"literal,omitempty"`
	State    []byte           `json:"state,omitempty"`
}

// An answer is a result and an error with what callers tell errors by.
type answer struct {
	result
	Error     string `json:"error,omitempty"`
	NotFound  bool   `json:"not_found,omitempty"`
	NotExist  bool   `json:"not_exist,omitempty"`
	Empty     bool   `json:"empty,omitempty"`
	Permanent bool   `json:"permanent,omitempty"`
}

// A result is what an operation gave; each gives one of these.
type result struct {
	Record   keeper.Record      `json:"record,omitzero"`
	Values   []jsonedit.Value   `json:"values,omitempty"`
	State    []byte             `json:"state,omitempty"`
	Findings []diagnose.Finding `json:"findings,omitempty"`
}

// serve answers one request. A parent that gives up, or ends, closes in.
func serve(in io.Reader, out io.Writer) int {
	var req request
	decoder := json.NewDecoder(io.LimitReader(in, maxMessage))
	if err := decoder.Decode(&req); err != nil {
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	r, err := perform(ctx, req)
	a := answer{result: r}
	if err != nil {
		a.Error, a.Permanent = err.Error(), configfile.Permanent(err)
		a.NotExist = errors.Is(err, fs.ErrNotExist)
		a.NotFound, a.Empty = errors.Is(err, keeper.ErrNotFound), errors.Is(err, jsonedit.ErrEmpty)
	}
	if json.NewEncoder(out).Encode(a) != nil {
		return 1
	}
	return 0
}

// perform does what is asked for. What is left behind when ctx ends would end with this process, so the operation itself
// is waited for.
func perform(ctx context.Context, req request) (r result, err error) {
	op, ok := operations[req.Op]
	if !ok {
		return r, fmt.Errorf("unknown request %q", req.Op)
	}
	return op(ctx, req)
}

// A Store does what the store at a location does, in a child process for each operation.
type Store struct {
	location idstore.Location
	flight   flight.Flight
	unsynced atomic.Bool // whether the last child that stored an ID did not get to the end
}

var (
	_ keeper.Store      = (*Store)(nil)
	_ keeper.Maintainer = (*Store)(nil)
	_ idstore.Records   = (*Store)(nil)
)

// NewStore gives the store of a location. It fails with ErrNoHook if RunChild has not been called.
func NewStore(location idstore.Location) (*Store, error) {
	if !hooked.Load() {
		return nil, ErrNoHook
	}
	if _, err := location.Open(); err != nil {
		return nil, err
	}
	for _, path := range []string{location.ConfigPath, location.AnchorDir, location.StateFile, location.PolicyPath} {
		if !utf8.ValidString(path) {
			return nil, fmt.Errorf("path %q is not UTF-8, and could not be told to a child process", path)
		}
	}
	return &Store{location: location}, nil
}

// Running tells which operation a child is busy with and since when.
func (s *Store) Running() (op string, since time.Time) { return s.flight.Running() }

func (s *Store) do(ctx context.Context, req request) (result, error) {
	req.Location = s.location
	a, err := flight.Do(ctx, &s.flight, req.Op+" in a child process", func(ctx context.Context) (answer, error) {
		return run(ctx, req)
	})
	if err != nil {
		return result{}, err
	}
	if a.Error != "" {
		err = &remoteError{a}
	}
	return a.result, err
}

// run starts a child, gives it the request and waits for its answer, however long that takes; when ctx ends it lets go
// of the child's input.
func run(ctx context.Context, req request) (answer, error) {
	child, in, out, err := startChild()
	if err != nil {
		return answer{}, fmt.Errorf("start child process: %w", err)
	}
	defer in.Close()
	defer out.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })()
	var a answer
	err = json.NewEncoder(in).Encode(req)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(out, maxMessage)).Decode(&a)
	}
	if state, waitErr := child.Wait(); err != nil {
		if waitErr == nil && !state.Success() {
			waitErr = errors.New(state.String())
		}
		return answer{}, fmt.Errorf("child process: %w", errors.Join(err, waitErr))
	}
	return a, nil
}

// passedOn are the variables that a child gets as well: without SystemRoot Windows has no random numbers, and the others
// say what a build with the race detector or with coverage does at its end.
var passedOn = []string{"SystemRoot", "GORACE", "GOCOVERDIR"}

// startChild runs this program again, as a child, and gives the ends of the pipes that are its input and output. The child
// gets the marker, passedOn and no more of the environment, and no terminal: what it needs is in the request.
//
// Package os/exec would do the same in fewer lines, and add 60 kB to a host that has no other use for it.
func startChild() (child *os.Process, in, out *os.File, err error) {
	path, err := executable()
	if err != nil {
		return nil, nil, nil, err
	}
	environment := []string{childVariable + "=" + protocolVersion, "GOMAXPROCS=1"}
	for _, name := range passedOn {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	defer null.Close()
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, nil, nil, err
	}
	defer childOut.Close()
	child, err = os.StartProcess(path, []string{path}, &os.ProcAttr{
		Dir:   string(os.PathSeparator),
		Env:   environment,
		Files: []*os.File{childIn, childOut, null},
		Sys:   apart(),
	})
	if err != nil {
		in.Close()
		out.Close()
		return nil, nil, nil, err
	}
	return child, in, out, nil
}

func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil // right also when the binary was replaced by an update
	}
	return os.Executable()
}

// remoteError is an error that a child gave.
type remoteError struct{ answer answer }

func (e *remoteError) Error() string { return e.answer.Error }

// Is tells the errors that a keeper branches on.
func (e *remoteError) Is(target error) bool {
	switch target {
	case keeper.ErrNotFound:
		return e.answer.NotFound
	case jsonedit.ErrEmpty:
		return e.answer.Empty
	case fs.ErrNotExist:
		return e.answer.NotExist
	}
	return false
}

// Permanent is what configfile.Permanent said of the error in the child.
func (e *remoteError) Permanent() bool { return e.answer.Permanent }
