package daemon_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The country comes from the database, for the address that a trusted proxy
// names. The address itself is stored nowhere.
func TestCountry(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "country.mmdb")
	if err := os.WriteFile(file, countryDB(t, "192.0.2.0/24", "DE"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	p, stop := start(t, daemon.Options{
		Dir: data, Listen: loopback, CountryDB: file, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	app, err := p.Collector().AddApp(t.Context(), collector.App{Key: "myapp"})
	if err != nil {
		t.Fatal(err)
	}
	lab.SameDay(t, 5*time.Minute)
	today := collector.DayOf(time.Now())
	for n, from := range []string{"192.0.2.77", "::ffff:192.0.2.78", "198.51.100.1", "2001:db8::1"} {
		body := fmt.Sprintf(`{"schema":1,"app":"myapp","installation_id":"%08x-1111-4111-8111-111111111111","id_persistence":"persisted",
			"sent_at":%q,"version":"1.0"}`, n+1, time.Now().UTC().Format(time.RFC3339))
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.Addr().String()+"/v1/heartbeat", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", from)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", from, response.StatusCode, answer)
		}
	}
	split, err := p.Collector().Breakdown(t.Context(), app.Num, collector.DimCountry, 1, today, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	if len(split.Values) != 1 || split.Values[0].Value != "DE" || *split.Values[0].Count != 2 {
		t.Errorf("got %+v, want two in DE", split.Values)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(data, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, address := range []string{"192.0.2.77", "198.51.100.1", "2001:db8"} {
			if bytes.Contains(content, []byte(address)) {
				t.Errorf("%s contains the address %s", path, address)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBadCountryDB(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "country.mmdb")
	whole := countryDB(t, "192.0.2.0/24", "DE")
	for name, content := range map[string][]byte{"none": nil, "empty": {}, "text": []byte("no database"), "cut": whole[len(whole)/2+40:]} {
		os.Remove(file)
		if content != nil {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := daemon.Open(t.Context(), daemon.Options{Dir: filepath.Join(dir, "data"), Listen: loopback, CountryDB: file})
		if err == nil || !strings.Contains(err.Error(), "country database") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// countryDB returns a database in MaxMind's format, version 2.0, that knows the
// country of one IPv4 network.
func countryDB(t *testing.T, network, code string) []byte {
	t.Helper()
	prefix := netip.MustParsePrefix(network)
	var b bytes.Buffer
	nodes := prefix.Bits()
	record := func(n int) { b.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }
	const separator = 16
	address := prefix.Addr().As4()
	for i := range nodes {
		next := i + 1
		if next == nodes {
			next = nodes + separator // the first record
		}
		sides := [2]int{nodes, nodes} // not found
		sides[address[i/8]>>(7-i%8)&1] = next
		record(sides[0])
		record(sides[1])
	}
	b.Write(make([]byte, separator))
	text := func(s string) { b.WriteByte(2<<5 | byte(len(s))); b.WriteString(s) }
	fields := func(n int) { b.WriteByte(7<<5 | byte(n)) }
	number := func(kind, n int) {
		b.WriteByte(byte(kind<<5 | 4))
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
	}
	fields(1)
	text("country")
	fields(1)
	text("iso_code")
	text(code)
	b.WriteString("\xab\xcd\xefMaxMind.com")
	const short, word = 5, 6
	fields(9)
	text("binary_format_major_version")
	b.Write([]byte{short<<5 | 1, 2})
	text("binary_format_minor_version")
	b.WriteByte(short << 5)
	text("build_epoch")
	b.Write([]byte{1, 2, 1}) // of the extended type 9, a 64-bit number of one byte
	text("database_type")
	text("Country")
	text("description")
	fields(0)
	text("ip_version")
	b.Write([]byte{short<<5 | 1, 4})
	text("languages")
	b.Write([]byte{0, 4}) // of the extended type 11, an empty list
	text("node_count")
	number(word, nodes)
	text("record_size")
	b.Write([]byte{short<<5 | 1, 24})
	return b.Bytes()
}
