//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The server of a FaultDir is a process of its own. A process that serves
// a file system that it uses itself can wait for itself in the kernel,
// and then cannot be killed.

const serverName = "lab FUSE server"

func init() { Register(serverName, serve) }

// The requests of a FaultDir to its server, one JSON value per line, and
// the replies.
type (
	request struct {
		Do   string
		Rule *rule `json:",omitempty"`
		ID   int   `json:",omitempty"`
	}
	reply struct {
		Err      string `json:",omitempty"`
		Waiting  int    `json:",omitempty"`
		Happened int    `json:",omitempty"`
		Calls    []Call `json:",omitempty"`
	}
)

const (
	doNothing = "nothing"
	doAdd     = "add"
	doRelease = "release"
	doCount   = "count"
	doReset   = "reset"
	doCalls   = "calls"
	doClear   = "clear"
)

// A rule says what happens to an operation before it is executed.
type rule struct {
	ID        int
	Op        Op
	Suffix    string
	Times     int // remaining times; negative: always
	Hang      bool
	HangReply bool
	Delay     time.Duration
	Errno     syscall.Errno
	Do        bool // execute before failing

	released chan struct{}
	happened int
	waiting  int
}

func serve() {
	dir, backing, options := os.Args[1], os.Args[2], os.Args[3:]
	unix.Umask(0) // the kernel has applied the caller's
	err := serveUntilEOF(dir, backing, slices.Contains(options, string(Cached)))
	if err != nil {
		json.NewEncoder(os.Stdout).Encode(reply{Err: err.Error()})
		os.Exit(1)
	}
}

func serveUntilEOF(dir, backing string, cached bool) error {
	root, err := fs.NewLoopbackRoot(backing)
	if err != nil {
		return err
	}
	var never time.Duration
	options := &fs.Options{EntryTimeout: &never, AttrTimeout: &never, NegativeTimeout: &never, NullPermissions: true}
	options.MountOptions = fuse.MountOptions{
		FsName:               "rollcall-lab",
		Name:                 "rollcall-lab",
		DirectMountStrict:    true,
		AllowOther:           true,
		Options:              []string{"default_permissions"},
		DisableReadDirPlus:   true,                 // they would be Lookups too
		DisabledCapabilities: fuse.CAP_PASSTHROUGH, // reads and writes would bypass this server
	}
	s := &faultServer{
		RawFileSystem: fs.NewNodeFS(root, options),
		direct:        !cached,
		names:         map[uint64]string{fuse.FUSE_ROOT_ID: "/"},
	}
	server, err := fuse.NewServer(s, dir, &options.MountOptions)
	if err != nil {
		return err
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return err
	}

	s.answer(request{Do: doClear}) // what mounting itself requested

	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if err := in.Decode(&r); err == io.EOF {
			return nil // the test process has died, or is done with this one
		} else if err != nil {
			return err
		}
		if err := out.Encode(s.answer(r)); err != nil {
			return err
		}
	}
}

// A faultServer applies the rules to a file system.
type faultServer struct {
	fuse.RawFileSystem
	direct bool // pass on every read and write

	mu    sync.Mutex
	rules []*rule
	ended []*rule // whose numbers are still in use
	calls []*Call
	names map[uint64]string // by node: the name of its last lookup
}

func (s *faultServer) answer(r request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Do {
	case doNothing:
	case doAdd:
		r.Rule.released = make(chan struct{})
		s.rules = append(s.rules, r.Rule)
	case doRelease:
		for _, rule := range s.rules {
			if rule.ID == r.ID {
				s.end(rule)
			}
		}
		s.rules = slices.DeleteFunc(s.rules, func(rule *rule) bool { return rule.ID == r.ID })
	case doReset:
		for _, rule := range s.rules {
			s.end(rule)
		}
		s.rules = nil
	case doCount:
		for _, rule := range slices.Concat(s.rules, s.ended) {
			if rule.ID == r.ID {
				return reply{Waiting: rule.waiting, Happened: rule.happened}
			}
		}
		return reply{Err: fmt.Sprintf("no rule %d", r.ID)}
	case doCalls:
		calls := make([]Call, len(s.calls))
		for i, c := range s.calls {
			calls[i] = *c
		}
		return reply{Calls: calls}
	case doClear:
		s.calls = nil
	default:
		return reply{Err: fmt.Sprintf("unknown request %q", r.Do)}
	}
	return reply{}
}

func (s *faultServer) end(r *rule) {
	close(r.released)
	s.ended = append(s.ended, r)
}

// do records a call, applies the rules, and executes it with fn.
func (s *faultServer) do(c Call, fn func() fuse.Status) fuse.Status {
	call := &c
	s.mu.Lock()
	s.calls = append(s.calls, call)
	r := s.match(c)
	s.mu.Unlock()

	status := s.apply(r, fn)
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Done, call.Errno = true, syscall.Errno(status)
	return status
}

// match returns the rule for a call, and counts.
func (s *faultServer) match(c Call) *rule {
	for _, r := range s.rules {
		if r.Times == 0 || r.Op != Any && r.Op != c.Op {
			continue
		}
		if !strings.HasSuffix(c.Name, r.Suffix) && !(c.hasNewName() && strings.HasSuffix(c.To, r.Suffix)) {
			continue
		}
		if r.Times > 0 {
			r.Times--
		}
		r.happened++
		return r
	}
	return nil
}

func (c Call) hasNewName() bool { return c.Op == Rename || c.Op == Exchange || c.Op == Link }

func (s *faultServer) apply(r *rule, fn func() fuse.Status) fuse.Status {
	switch {
	case r == nil:
		return fn()
	case r.Hang:
		s.wait(r, nil)
		return fn()
	case r.HangReply:
		status := fn()
		s.wait(r, nil)
		return status
	case r.Delay > 0:
		s.wait(r, time.After(r.Delay))
		return fn()
	case r.Do:
		if status := fn(); !status.Ok() {
			return status
		}
	}
	return fuse.Status(r.Errno)
}

// wait waits until the rule is released or the time is over. A signal for
// the caller does not end the wait, as on a broken disk.
func (s *faultServer) wait(r *rule, over <-chan time.Time) {
	count := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.waiting += n
	}
	count(1)
	defer count(-1)
	select {
	case <-r.released:
	case <-over:
	}
}

func (s *faultServer) name(node uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[node]
}

func (s *faultServer) child(directory uint64, name string) string {
	return path.Join(s.name(directory), name)
}

func (s *faultServer) setName(node uint64, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if node != 0 { // 0: there is no such file
		s.names[node] = name
	}
}

// moved renames the recorded names of a file, and of everything below a
// directory.
func (s *faultServer) moved(from, to string, exchange bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for node, name := range s.names {
		if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest[0] == '/') {
			s.names[node] = to + rest
		} else if rest, ok := strings.CutPrefix(name, to); exchange && ok && (rest == "" || rest[0] == '/') {
			s.names[node] = from + rest
		}
	}
}
