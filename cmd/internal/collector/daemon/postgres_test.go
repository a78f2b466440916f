package daemon_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// sendReport sends the heartbeat of an installation, and returns the status.
func sendReport(t *testing.T, d *daemon.Daemon, n int) int {
	t.Helper()
	body := strings.ReplaceAll(heartbeat, "11111111-1111", fmt.Sprintf("%08x-1111", n))
	body = strings.Replace(body, "}", fmt.Sprintf(`,"id_persistence":"persisted","sent_at":%q,"version":"1.0"}`, time.Now().UTC().Format(time.RFC3339)), 1)
	response, err := http.Post("http://"+d.Addr().String()+"/v1/heartbeat", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// reportUntil repeats a report until it has a status.
func reportUntil(t *testing.T, d *daemon.Daemon, n, status int) {
	t.Helper()
	var got int
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = sendReport(t, d, n); got == status {
			return
		}
	}
	t.Fatalf("installation %d: got status %d, want %d", n, got, status)
}

// A collector whose database is away answers 503, opens it again when it is back,
// and has lost nothing that it acknowledged. Another collector waits for the lead
// meanwhile, and takes it.
func TestStoreIsLost(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off"}})
	database := server.NewDatabase(t)
	proxy := pgserver.NewProxy(t, server.Port)
	first := t.TempDir()
	d, stop := start(t, daemon.Options{Dir: first, Listen: loopback, Store: server.URLAt(proxy.Port, database), Wait: true})
	reportUntil(t, d, 1, http.StatusNotFound) // it counts, and knows no app
	if _, err := d.Collector().AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	reportUntil(t, d, 1, http.StatusOK)
	proxy.SetDown(true)
	reportUntil(t, d, 2, http.StatusServiceUnavailable)
	proxy.SetDown(false)
	reportUntil(t, d, 2, http.StatusOK)
	if d.Collector().Store() == nil {
		t.Error("no store is open")
	}

	second := t.TempDir()
	if err := datadir.CopySecret(first, second); err != nil {
		t.Fatal(err)
	}
	other, stopOther := start(t, daemon.Options{Dir: second, Listen: loopback, Store: server.URL(database), Wait: true})
	if got := sendReport(t, other, 3); got != http.StatusServiceUnavailable {
		t.Errorf("report to the one that waits: got status %d, want 503", got)
	}
	// A verb on the machine of the collector that counts works without --store.
	client, err := control.Connect(t.Context(), first, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.App(t.Context(), "myapp"); err != nil {
		t.Error(err)
	}
	client.Close()
	// The first one is cut off: the other one takes over.
	proxy.SetDown(true)
	reportUntil(t, other, 3, http.StatusOK)
	reportUntil(t, d, 4, http.StatusServiceUnavailable)
	if err := stop(); err != nil {
		t.Error(err)
	}
	app, _ := other.Collector().App("myapp")
	for n := 1; n <= 3; n++ {
		id := fmt.Sprintf("%08x-1111-4111-8111-111111111111", n)
		if known, err := other.Collector().Known(t.Context(), app.Num, id); err != nil || !known {
			t.Errorf("installation %d was acknowledged, and the other one says %v and %v", n, known, err)
		}
	}
	if err := stopOther(); err != nil {
		t.Error(err)
	}
}

// A replica whose secret is not the database's does not start, and says why. It
// would recognize no installation, and no replica would talk to it.
func TestSecretOfAnotherCollector(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off"}})
	opts := daemon.Options{
		Listen: loopback, ReplicaListen: loopback, Store: server.URL(server.NewDatabase(t)), Wait: true, Drain: time.Millisecond, Secret: replicaSecret,
	}
	d, _ := start(t, opts)
	reportUntil(t, d, 1, http.StatusNotFound) // it counts, and knows no app
	opts.Secret = []byte(strings.Repeat("another!", 4))
	other, err := daemon.Open(t.Context(), opts)
	if err == nil {
		go other.Run(t.Context())
	}
	if !errors.Is(err, engine.ErrSecret) {
		t.Errorf("got %v, want ErrSecret", err)
	}
}
