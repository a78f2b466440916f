package server_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// A trusted proxy names the country of a client, in both wire formats. Nobody else
// is believed.
func TestCountryHeader(t *testing.T) {
	r := newRig(t, func(o *server.Options) {
		noLimits(o)
		wire, err := legacy.New(legacy.Options{Collector: o.Collector, Releases: release.New(o.Collector), Country: server.ClientCountry})
		if err != nil {
			t.Fatal(err)
		}
		o.Legacy, o.CountryHeader = wire, "CF-IPCountry"
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.Country = func(netip.Addr) string { return "DE" }
	})
	app := r.app
	app.Legacy = true
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]uint64)
	for i, tt := range []struct{ from, header, want string }{
		{"10.1.2.3:1", "GB", "GB"}, {"10.1.2.3:1", "XX", "DE"}, {"10.1.2.3:1", "T1", "DE"}, {"10.1.2.3:1", "", "DE"}, {"192.0.2.1:1", "GB", "DE"},
	} {
		id := fmt.Sprintf("%08d-1111-4111-8111-111111111111", i)
		for path, body := range map[string]string{
			"/v1/heartbeat": fmt.Sprintf(`{"schema":1,"app":"app","installation_id":"1%s","id_persistence":"persisted","sent_at":%q,"version":"1.0"}`,
				id[1:], time.Now().UTC().Format(time.RFC3339)),
			"/heartbeat": fmt.Sprintf(`{"installation_id":"2%s","version":"1.0"}`, id[1:]),
		} {
			req := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(body))
			req.RemoteAddr = tt.from
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Forwarded-For", fmt.Sprint("198.51.100.", i))
			if tt.header != "" {
				req.Header.Set("CF-IPCountry", tt.header)
			}
			w := httptest.NewRecorder()
			if r.h.ServeHTTP(w, req); w.Code != 200 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			want[tt.want]++
		}
	}
	split, err := r.c.Breakdown(t.Context(), app.Num, collector.DimCountry, 1, collector.DayOf(time.Now()), figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]uint64)
	for _, v := range split.Values {
		got[v.Value] = *v.Count
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
