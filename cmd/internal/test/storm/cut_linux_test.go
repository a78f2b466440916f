package storm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// TestCounterIsCutOff cuts the network of the replica that counts while reports
// arrive at all three: from the database, from the other replicas, and from its
// clients. Each replica has a network namespace.
func TestCounterIsCutOff(t *testing.T) {
	notShort(t)
	if !alone(t) {
		return
	}
	// Names of namespaces are files, which nobody else shall see.
	_ = os.MkdirAll("/run/netns", 0o755)
	if err := syscall.Mount("storm", "/run/netns", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	ip(t, "link add hub type bridge", "addr add 10.77.0.1/24 dev hub", "link set hub up")
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"listen_addresses = '127.0.0.1,10.77.0.1'"}})
	hba, err := os.OpenFile(filepath.Join(server.Dir, "data", "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hba.WriteString("host all all 10.77.0.0/24 scram-sha-256\n"); err != nil {
		t.Fatal(err)
	}
	hba.Close()
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	c := newCluster(t, strings.Replace(server.URL(server.NewDatabase(t)), "127.0.0.1", "10.77.0.1", 1))
	for i := range 3 {
		c.addInNamespace(i)
	}
	c.ready()
	load := c.load(16)
	var waits []time.Duration
	for range rounds(2, 50) {
		load.more(50)
		victim := c.counter()
		cable := "cable" + victim.name[len(victim.name)-1:]
		ip(t, "link set "+cable+" down")
		waits = append(waits, load.again())
		ip(t, "link set "+cable+" up")
		load.more(20)
	}
	load.check()
	logWaits(t, waits)
}

// addInNamespace starts a replica in a network namespace, which a cable connects to
// the hub.
func (c *cluster) addInNamespace(i int) {
	c.t.Helper()
	name, cable, address := fmt.Sprintf("storm%d", i+1), fmt.Sprintf("cable%d", i+1), fmt.Sprintf("10.77.0.%d", i+11)
	ip(c.t, "netns add "+name, "link add "+cable+" type veth peer name eth0 netns "+name,
		"link set "+cable+" master hub", "link set "+cable+" up", "-n "+name+" addr add "+address+"/24 dev eth0",
		"-n "+name+" link set eth0 up", "-n "+name+" link set lo up")
	n := &node{
		c: c, name: fmt.Sprintf("replica %d", i+1), prefix: []string{"ip", "netns", "exec", name},
		address: address + ":8947", peers: address + ":8948",
	}
	c.nodes = append(c.nodes, n)
	n.start()
}
