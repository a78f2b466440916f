package storm

import (
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// TestCounterDies kills the replica that counts, or stops it for longer than its
// lease, while reports arrive at all three.
func TestCounterDies(t *testing.T) {
	notShort(t)
	server := pgserver.Shared(t, pgserver.V15)
	c := newCluster(t, server.URL(server.NewDatabase(t)))
	for range 3 {
		c.add()
	}
	c.ready()
	load := c.load(16)
	var waits []time.Duration
	for round := range rounds(4, 50) {
		load.more(50)
		victim := c.counter()
		if round%2 == 0 {
			victim.kill()
			waits = append(waits, load.again())
			victim.start()
			continue
		}
		victim.signal(syscall.SIGSTOP)
		waits = append(waits, load.again())
		victim.signal(syscall.SIGCONT) // it does not know yet that it leads no more
	}
	load.more(50)
	load.check()
	logWaits(t, waits)
}

// TestRollingUpdate ends and starts one replica after the other. Clients who cannot
// connect use another replica, as behind a load balancer; no report is refused.
func TestRollingUpdate(t *testing.T) {
	notShort(t)
	server := pgserver.Shared(t, pgserver.V15)
	c := newCluster(t, server.URL(server.NewDatabase(t)))
	for range 3 {
		c.add()
	}
	c.ready()
	load := c.load(8)
	for range rounds(1, 5) {
		for _, n := range c.nodes {
			load.more(50)
			n.signal(syscall.SIGTERM)
			<-n.ended
			if code := n.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("%s ended with %d, want 0", n.name, code)
			}
			n.start()
			c.ready()
		}
	}
	load.more(50)
	load.check()
	if n := load.refused.Load(); n > 0 {
		t.Errorf("%d reports were refused, want none", n)
	}
}
