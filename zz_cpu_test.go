package rollcall_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
	"context"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(1, &u) // RUSAGE_THREAD
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
func cpuAll() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestZZ(t *testing.T) {
	runtime.LockOSThread()
	service, _ := rollcall.New(rollcall.Config{App: "my-app", StateDir: "/state", IssueContext: []string{"op"}})
	for i := range report.MaxGroups - 2 {
		service.ReportIssue(rollcall.Issue{Source: "test", Component: fmt.Sprintf("part%d", i), Reason: "full"})
	}
	with := diskFull
	with.Context = map[string]string{"op": "write"}
	m := map[report.GroupKey]int{{"a", "b", "c", "d", "e"}: 1}
	k := report.GroupKey{"test", "disk", "full", "", "error"}
	for name, f := range map[string]func(){
		"hit": func() { service.ReportIssue(diskFull) }, "ctx": func() { service.ReportIssue(with) }, "now": func() { time.Now() },
		"map": func() { _ = m[k] },
	} {
		f()
		n := 1000000
		b := cpu()
		for range n {
			f()
		}
		t.Logf("%s: %v", name, (cpu()-b)/time.Duration(n))
	}
	s, d := heartbeatService(t, 8)
	s0, d0 := heartbeatService(t, 0)
	for range 3 {
	n := 5000
	b := cpuAll()
	for range n {
		h := rollcall.BuildHeartbeat(context.Background(), s, d)
		h.Marshal()
	}
	t.Logf("heartbeat 8 facts, cpu of all: %v", (cpuAll()-b)/time.Duration(n))
	b = cpuAll()
	for range n {
		h := rollcall.BuildHeartbeat(context.Background(), s0, d0)
		h.Marshal()
	}
	t.Logf("heartbeat 0 facts, cpu of all: %v", (cpuAll()-b)/time.Duration(n))
	}
}
