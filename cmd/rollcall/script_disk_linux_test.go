package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The commands of scripts for a failing disk; see script.commands.

func (s *script) makeDisk(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "disk")
	s.disk = lab.FUSE(s.t)
	ts.Setenv("DISK", s.disk.Path)
}

func (s *script) fault(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 4 || len(args) > 5, "fault NAME hang|delay|fail OPERATION SUFFIX [DURATION|ERRNO]")
	op, suffix, detail := lab.Op(args[2]), args[3], strings.Join(args[4:], "")
	switch args[1] {
	case "hang":
		s.faults[args[0]] = s.disk.Hang(op, suffix, lab.Always)
	case "delay":
		d, err := time.ParseDuration(detail)
		ts.Check(err)
		s.faults[args[0]] = s.disk.Delay(op, suffix, d, lab.Always)
	case "fail":
		errno := map[string]syscall.Errno{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "EACCES": syscall.EACCES}[detail]
		usage(ts, errno == 0, "fault NAME fail OPERATION SUFFIX ENOSPC|EIO|EACCES")
		s.faults[args[0]] = s.disk.Fail(op, suffix, errno, lab.Always)
	default:
		ts.Fatalf("no such fault: %s", args[1])
	}
}

func (s *script) happening(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1 || s.faults[args[0]] == nil, "happening NAME")
	s.faults[args[0]].Await(1)
}

func (s *script) release(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1 || s.faults[args[0]] == nil, "release NAME")
	s.faults[args[0]].Release()
}

func (s *script) freeze(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "freeze")
	s.disk.Freeze()
}

func (s *script) changes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "changes")
	for _, call := range s.disk.Changes() {
		fmt.Fprintln(ts.Stdout(), call)
	}
}
