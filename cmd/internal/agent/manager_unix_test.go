//go:build unix

package agent_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
)

// notifySocket is a service manager. It returns the messages received so
// far.
func notifySocket(t *testing.T) (messages func() []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir can be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	var mu sync.Mutex
	var all []string
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, string(buf[:n]))
			mu.Unlock()
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestServiceManager(t *testing.T) {
	messages := notifySocket(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	service := newFakeService()
	persisted := make(chan struct{})
	a, err := agent.New(service, agent.Options{Persisted: persisted})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	pings := func() int {
		return len(slices.DeleteFunc(messages(), func(m string) bool { return m != "WATCHDOG=1" }))
	}
	await(t, "pings while the ID is not settled", func() bool { return pings() > 2 })
	service.settle(func(st *rollcall.Status) { st.ID, st.Reason = installid.New(), "save:\nno space left" })
	await(t, "the status", func() bool {
		return slices.Contains(messages(), "STATUS=Installation ID in memory: save: no space left")
	})
	service.mu.Lock()
	service.status.Persisted = true
	service.mu.Unlock()
	persisted <- struct{}{}
	await(t, "the new status", func() bool { return slices.Contains(messages(), "STATUS=Installation ID persisted") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	await(t, "the end", func() bool { return slices.Contains(messages(), "STOPPING=1") })
	if got, want := messages()[0], "READY=1\nSTATUS=Making the installation ID ready"; got != want {
		t.Errorf("got %q first, want %q", got, want)
	}
}

func TestUnresponsiveServiceManager(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "2000") // so many pings that the socket soon is full
	a, err := agent.New(newFakeService(), agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the agent waited for its service manager")
	}
}

func TestBadWatchdogVariable(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "soon")
	_, log, stop := run(t, newFakeService(), agent.Options{Listen: []string{"127.0.0.1:0"}})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "Watchdog not used") {
		t.Errorf("no warning in the log: %s", log)
	}
}
