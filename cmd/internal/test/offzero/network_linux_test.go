package offzero

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A network is that of this process's namespace: a loopback device, and a
// name server on it that counts queries.
type network struct{ queries *atomic.Int64 }

// traffic is what was seen in a network.
type traffic struct {
	packets   int64 // in and out, of all devices
	datagrams int64 // that a process sent over UDP
	opens     int64 // of TCP connections, answered or not
	queries   int64 // received by the name server
}

func (now traffic) since(before traffic) traffic {
	return traffic{
		now.packets - before.packets, now.datagrams - before.datagrams,
		now.opens - before.opens, now.queries - before.queries,
	}
}

// setUp brings up loopback and makes this process use the name server on
// it. It first checks that the network is its own, because it would
// change the machine's.
func setUp(t *testing.T, dir string) *network {
	t.Helper()
	devices, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range devices {
		if device.Flags&net.FlagUp != 0 {
			t.Fatalf("%s is up: not in a network of its own", device.Name)
		}
	}
	if err := bringUp("lo"); err != nil {
		t.Fatal(err)
	}
	if routes, err := os.ReadFile("/proc/thread-self/net/route"); err != nil || strings.Count(string(routes), "\n") > 1 {
		t.Fatalf("got routes %q, %v, want none", routes, err)
	}
	if err := mountFiles(dir); err != nil {
		t.Fatal(err)
	}
	n := &network{new(atomic.Int64)}
	n.serveNames(t)
	// This reads resolv.conf, and creates what package net keeps outside
	// of all bubbles.
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "before.example.test"); err == nil || n.queries.Load() == 0 {
		t.Fatalf("got %v after %d queries: the name server is not asked", err, n.queries.Load())
	}
	return n
}

func bringUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// mountFiles gives this process, and no other, a fast directory, and a
// resolv.conf instead of the machine's. If the machine has none, the
// resolver asks loopback anyway.
func mountFiles(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		return err
	}
	path := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		return err
	}
	err := unix.Mount(path, "/etc/resolv.conf", "", unix.MS_BIND, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// serveNames counts queries, and answers that the name does not exist.
func (n *network) serveNames(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			n.queries.Add(1)
			const header = 12
			if size < header {
				continue
			}
			answer := buf[:size]
			answer[2] |= 0x80              // a response
			answer[3] = answer[3]&0xf0 | 3 // no such name
			answer[10], answer[11] = 0, 0  // without the additional records of the query
			conn.WriteTo(answer[:header+question(answer[header:])], from)
		}
	}()
}

// question returns the length of the first question: a name of labels,
// its type and its class.
func question(b []byte) int {
	at := 0
	for at < len(b) && b[at] != 0 {
		at += int(b[at]) + 1
	}
	return min(at+5, len(b))
}

// count returns what was seen so far.
func (n *network) count(t *testing.T) traffic {
	t.Helper()
	seen := traffic{queries: n.queries.Load()}
	seen.packets = devicePackets(t)
	seen.datagrams = counter(t, "Udp:", "OutDatagrams")
	seen.opens = counter(t, "Tcp:", "ActiveOpens")
	return seen
}

// devicePackets returns the number of packets of all devices.
func devicePackets(t *testing.T) (sum int64) {
	t.Helper()
	devices := 0
	for _, line := range lines(t, "/proc/thread-self/net/dev") {
		name, numbers, found := strings.Cut(line, ":")
		if !found {
			continue // a heading
		}
		devices++
		fields := strings.Fields(numbers)
		const received, sent = 1, 9
		for _, i := range []int{received, sent} {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sum += n
		}
	}
	if devices == 0 {
		t.Fatal("no device, not even loopback")
	}
	return sum
}

// counter returns one of the kernel's counters of a protocol, from a line
// of names and a line of numbers.
func counter(t *testing.T, protocol, name string) int64 {
	t.Helper()
	var names []string
	for _, line := range lines(t, "/proc/thread-self/net/snmp") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != protocol:
		case names == nil:
			names = fields
		default:
			for i := range names {
				if names[i] == name {
					n, err := strconv.ParseInt(fields[i], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
		}
	}
	t.Fatalf("no counter %s %s", protocol, name)
	return 0
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
