package bench

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/rawhttp"
)

const (
	// fed is how many heartbeats wait when receivers feed a counter.
	fed = 1024
	// fedPerSecond is how many of them are counted for each second that the rate over
	// HTTP is measured.
	fedPerSecond = 20_000
)

// besidePostgres measures the same collector on SQLite and on PostgreSQL 18, by
// turns, on the same processors: over HTTP, and with 1,024 heartbeats that wait,
// as when receivers feed it. It also measures the start.
func besidePostgres(t *testing.T, duration time.Duration, rounds int) {
	if rounds > 1 {
		rounds = 5
	}
	server := pgserver.Start(t, pgserver.V18, pgserver.Options{})
	t.Run("rates", func(t *testing.T) { ratesBesidePostgres(t, server, duration, rounds) })
	t.Run("start", func(t *testing.T) { startBesidePostgres(t, server) })
}

func ratesBesidePostgres(t *testing.T, server *pgserver.Server, duration time.Duration, rounds int) {
	part, each := int(duration.Seconds()*mostPerSecond), int(duration.Seconds()*fedPerSecond)
	known := part * rounds
	file := t.TempDir()
	loadKnown(t, file, known+each*rounds)
	database := server.URL("postgres")
	if _, err := datadir.Copy(t.Context(), file, database, datadir.CopyOptions{}); err != nil {
		t.Fatal(err)
	}

	children := []*child{startChild(t, counting, file), startChild(t, counting, database)}
	var rates [2][]float64
	for round := range rounds {
		for i, c := range children {
			s := simulate.Sending{Endpoint: c.endpoint, Connections: connections, Duration: duration, Attempts: 1, Connect: rawhttp.Connect}
			result, err := s.Run(t.Context(), func(i int) simulate.Source { return mixed(round*part+i, (round+1)*part, known+each*rounds) })
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Refused) > 0 || result.Failed > 0 {
				t.Errorf("%v refused, %d failed (%s), want none", result.Refused, result.Failed, result.Error)
			}
			rates[i] = append(rates[i], result.PerSecond())
		}
	}
	for _, c := range children {
		c.stop()
	}
	t.Logf("durable heartbeats over HTTP: SQLite %.0f/s, PostgreSQL %.0f/s; ratio %.2f (bar: at least 0.6); medians of %d times %v, %d connections",
		median(rates[0]), median(rates[1]), median(rates[1])/median(rates[0]), rounds, duration, connections)

	rates = [2][]float64{}
	for round := range rounds {
		for i, place := range []string{file, database} {
			rates[i] = append(rates[i], feed(t, place, known+round*each, known+(round+1)*each))
		}
	}
	t.Logf("durable heartbeats with %d waiting: SQLite %.0f/s, PostgreSQL %.0f/s; ratio %.2f (bar: at least 0.8); medians of %d times %d",
		fed, median(rates[0]), median(rates[1]), median(rates[1])/median(rates[0]), rounds, each)
}

// feed returns how many heartbeats a second a collector counts while many wait. Each
// is the first of the day from a known installation: a repeated one is not written.
func feed(t *testing.T, place string, from, to int) float64 {
	t.Helper()
	c, closeAll, err := openStore(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Warm()
	app, _ := c.App(appKey)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range fed {
		wg.Go(func() {
			h := heartbeat("1.0.0")
			for n := from + i; n < to; n += fed {
				h.InstallationID = numberedID(n)
				if receipt, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil || receipt.Repeated {
					t.Errorf("got %+v, %v", receipt, err)
					return
				}
			}
		})
	}
	wg.Wait()
	rate := float64(to-from) / time.Since(began).Seconds()
	if err := closeAll(); err != nil {
		t.Fatal(err)
	}
	return rate
}

// startBesidePostgres measures the start on a large database.
func startBesidePostgres(t *testing.T, server *pgserver.Server) {
	installations := 10_000 // to see that it works
	switch {
	case os.Getenv(soakVariable) != "":
		installations = 10_000_000
	case os.Getenv(benchVariable) != "":
		installations = 1_000_000
	}
	dir := t.TempDir()
	loadKnown(t, dir, installations)
	url := server.URL(server.NewDatabase(t))
	if _, err := datadir.Copy(t.Context(), dir, url, datadir.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, place := range []struct{ name, where string }{{"SQLite", dir}, {"PostgreSQL", url}} {
		begin := time.Now()
		c, closeAll, err := openStore(t.Context(), place.where)
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Since(begin)
		<-c.Warm()
		warm := time.Since(begin)
		size, err := c.Store().Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d installations on %s: %v until it serves (bar, for 10 million: 3 s), %v until all rows are read; %d MB of heap; %d bytes for each installation (bar: 250)",
			installations, place.name, opened.Round(time.Millisecond), warm.Round(time.Millisecond), heap()>>20, size/int64(installations))
		if err := closeAll(); err != nil {
			t.Fatal(err)
		}
	}
}
