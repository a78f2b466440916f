package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// patience is how long a script waits, even on the slowest machine.
const patience = 2 * time.Minute

// script is the state that the commands of one script share.
type script struct {
	t      *testing.T
	work   string
	disk   *lab.FaultDir
	faults map[string]*lab.Fault
	ids    []string // those that norm has seen

	collector *rollcalltest.Collector
	server    *pgserver.Server
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands returns the commands that scripts have besides those of
// testscript:
//
//	waitfor FILE REGEXP          wait until the file has a match
//	address FILE VARIABLE [MESSAGE]
//	                             wait until the log has the address that the agent, or the message, names, and set
//	                             the variable to it
//	midnight                     wait until after midnight UTC if that is near, so that what follows happens on one day
//	terminate                    send SIGTERM to the background commands, for which "wait" waits
//	get [-X METHOD] [-H HEADER]... URL
//	                             print the status, the header and the body of the response
//	norm FILE [TO]               replace IDs by ID1, ID2, ..., times by TIME, and directories by their variables
//	readonly DIR                 mount the directory read-only on itself
//	memory                       create a directory $MEMORY that lies in memory
//	notify FILE                  act as the service manager, and write its messages to the file
//	collector                    start a collector at $COLLECTOR
//	answer STATUS                let the collector answer with the status
//	received FILE                write the body of the last report, or the method and path of another request, to
//	                             the file
//	postgres                     start a PostgreSQL with a standby; $DATABASE and others are addresses of it
//	synchronous                  make commits wait for the standby
//	disk                         create a directory $DISK whose operations can fail
//	fault NAME hang|delay|fail OPERATION SUFFIX [DURATION|ERRNO]
//	                             let operations of $DISK on names with the suffix hang, take long, or fail
//	happening NAME               wait until the fault happens
//	release NAME                 end it
//	freeze                       let all operations of $DISK hang in a way that signals interrupt
//	forget                       forget the recorded operations of $DISK
//	changes                      print the recorded operations that changed something, or opened a file to change it
func (s *script) commands() map[string]command {
	return map[string]command{
		"waitfor":     s.waitFor,
		"address":     s.address,
		"midnight":    s.midnight,
		"terminate":   s.terminate,
		"get":         s.get,
		"norm":        s.norm,
		"readonly":    s.readOnly,
		"memory":      s.makeMemory,
		"notify":      s.notify,
		"collector":   s.startCollector,
		"answer":      s.answer,
		"received":    s.received,
		"postgres":    s.postgres,
		"synchronous": s.synchronous,
		"disk":        s.makeDisk,
		"fault":       s.fault,
		"happening":   s.happening,
		"release":     s.release,
		"freeze":      s.freeze,
		"forget":      func(*testscript.TestScript, bool, []string) { s.disk.ClearCalls() },
		"changes":     s.changes,
	}
}

// usage fails a script that uses a command wrongly.
func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

func (s *script) waitFor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "waitfor FILE REGEXP")
	s.await(ts, args[0], regexp.MustCompile(args[1]))
}

// await waits until the file has a match of re, and returns the match and
// its groups.
func (s *script) await(ts *testscript.TestScript, file string, re *regexp.Regexp) []string {
	path := ts.MkAbs(file)
	var text []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ = os.ReadFile(path) // the file may not exist yet
		if match := re.FindStringSubmatch(string(text)); match != nil {
			return match
		}
	}
	ts.Fatalf("%s has no match of %q after %v:\n%s", file, re, patience, text)
	return nil
}

func (s *script) address(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "address FILE VARIABLE [MESSAGE]")
	message := "Listening"
	if len(args) == 3 {
		message = strconv.Quote(args[2])
	}
	ts.Setenv(args[1], s.await(ts, args[0], regexp.MustCompile(`msg=`+message+` address=(\S+)( .*)?\n`))[1])
}

func (s *script) midnight(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "midnight")
	lab.SameDay(s.t, patience)
}

func (s *script) terminate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "terminate")
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}

func (s *script) get(ts *testscript.TestScript, neg bool, args []string) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "", nil)
	ts.Check(err)
	for ; len(args) > 2 && strings.HasPrefix(args[0], "-"); args = args[2:] {
		switch args[0] {
		case "-X":
			r.Method = args[1]
		case "-H":
			name, value, _ := strings.Cut(args[1], ": ")
			if name == "Host" {
				r.Host = value
			}
			r.Header.Set(name, value)
		}
	}
	usage(ts, neg || len(args) != 1, "get [-X METHOD] [-H HEADER]... URL")
	r.URL, err = r.URL.Parse(args[0])
	ts.Check(err)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	fmt.Fprintln(ts.Stdout(), response.Status)
	response.Header.Del("Date")
	ts.Check(response.Header.Write(ts.Stdout()))
	fmt.Fprintln(ts.Stdout())
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)
}

var (
	idPattern    = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b|\.\.\.)`)
	timePattern  = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	crlfReplacer = strings.NewReplacer("\r\n", "\n")
)

func (s *script) norm(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 1 || len(args) > 2, "norm FILE [TO]")
	text := ts.ReadFile(args[0])
	if args[0] == "stdout" {
		text = crlfReplacer.Replace(text) // of HTTP headers
	}
	text = timePattern.ReplaceAllString(text, "TIME")
	text = idPattern.ReplaceAllStringFunc(text, s.nameID)
	if s.disk != nil {
		text = strings.ReplaceAll(text, s.disk.Path, "$DISK")
	}
	text = strings.ReplaceAll(text, s.work, "$WORK")
	if address := ts.Getenv("ADDRESS"); address != "" {
		text = strings.ReplaceAll(text, address, "$ADDRESS")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[len(args)-1]), []byte(text), 0o666))
}

// nameID returns the name of an ID, which may be shortened.
func (s *script) nameID(id string) string {
	i := slices.Index(s.ids, id[:8])
	if i < 0 {
		i = len(s.ids)
		s.ids = append(s.ids, id[:8])
	}
	name := "ID" + strconv.Itoa(i+1)
	if strings.HasSuffix(id, "...") {
		name += "..."
	}
	return name
}

func (s *script) readOnly(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "readonly DIR")
	lab.ReadOnlyMount(s.t, ts.MkAbs(args[0]))
}

func (s *script) makeMemory(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "memory")
	ts.Setenv("MEMORY", lab.Tmpfs(s.t, ""))
}

func (s *script) notify(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "notify FILE")
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	dir, err := os.MkdirTemp("", "notify") // $WORK can be too long for a socket's name
	ts.Check(err)
	path := filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	s.t.Cleanup(func() {
		socket.Close()
		os.RemoveAll(dir)
	})
	ts.Setenv("NOTIFY_SOCKET", path)
	go func() {
		defer file.Close()
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(file, "%s\n", buf[:n])
		}
	}()
}

func (s *script) startCollector(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "collector")
	s.collector = rollcalltest.NewCollector(s.t)
	ts.Setenv("COLLECTOR", s.collector.URL)
}

func (s *script) answer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "answer STATUS")
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	s.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		return true
	})
}

func (s *script) received(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "received FILE")
	requests := s.collector.Requests()
	if len(requests) == 0 {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("nothing\n"), 0o644))
		return
	}
	last := requests[len(requests)-1]
	body := last.Body
	if len(body) == 0 {
		body = []byte(last.Method + " " + last.Path + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), body, 0o644))
}
