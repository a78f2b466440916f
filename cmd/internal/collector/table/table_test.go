package table_test

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// A masked figure marshals to a text, as some cells of pages do.
type masked uint64

func (masked) MarshalText() ([]byte, error) { return []byte("≥ 5"), nil }

func testTable() *table.Table {
	day, _ := collector.ParseDay("2026-11-28")
	seven := uint64(7)
	t := table.New("day", "count", "share", "open", "note")
	t.Add(day, figures.Count(&seven), 0.25, true, "a \"b\", c")
	t.Add(nil, figures.Count(nil), math.NaN(), false, masked(5))
	t.Add(day, -3, 1e-9, math.Inf(1), "<b>")
	return t
}

func TestCSV(t *testing.T) {
	want := "day,count,share,open,note\r\n" +
		"2026-11-28,7,0.25,true,\"a \"\"b\"\", c\"\r\n" +
		",,,false,≥ 5\r\n" +
		"2026-11-28,-3,0.000000001,,<b>\r\n"
	if got := string(testTable().CSV()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := string(table.New("a", "=b").CSV()), "a,'=b\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A spreadsheet shows each text as it is, and numbers and days as its own.
func TestSpreadsheet(t *testing.T) {
	day, _ := collector.ParseDay("2026-11-28")
	out := table.New("version", "day", "count", "note")
	out.Add("1.10", day, 3, "")
	out.Add(`=1+"x"`, day, 0.5, "a\nb,c")
	want := "\ufeff" +
		`"=""version""","=""day""","=""count""","=""note"""` + "\r\n" +
		`"=""1.10""",2026-11-28,3,` + "\r\n" +
		`"=""=1+""""x""""""",2026-11-28,0.5,"=""a` + "\uFFFD" + `b,c"""` + "\r\n"
	if got := string(out.Spreadsheet()); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(want, "\ufeff"))).ReadAll()
	if err != nil || rows[1][0] != `="1.10"` || rows[2][0] != `="=1+""x"""` {
		t.Errorf("got %q, %v", rows, err)
	}
}

// No spreadsheet takes a text for a formula, and any CSV reader reads it back.
func TestTextsInCSV(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a=1": "a=1", "1.0": "1.0", "≥": "≥",
		"=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "\na": "'\na", "=\"x\"": "'=\"x\"",
		"a;=1": "a;=1", "a\tb": "a\tb", "a\nb": "a\nb", "a,b": "a,b", "\"": "\"",
		"a\x00\x1b\u0085b": "a\uFFFD\uFFFD\uFFFDb",
	} {
		out := table.New("text")
		out.Add(text)
		line := string(out.CSV())
		rows, err := csv.NewReader(strings.NewReader(line)).ReadAll()
		if err != nil || len(rows) != 2 || rows[1][0] != want {
			t.Errorf("%q: got %q, %v, want %q", text, rows, err, want)
		}
		if strings.ContainsAny(text, ",;\t\r\n\"") && !strings.HasSuffix(line, "\"\r\n") {
			t.Errorf("%q is not quoted: %q", text, line)
		}
	}
	out := table.New("text")
	out.Add("\ra")
	if got, want := string(out.CSV()), "text\r\n\"'\ra\"\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	want := `{"day":"2026-11-28","count":7,"share":0.25,"open":true,"note":"a \"b\", c"}` + "\n" +
		`{"day":null,"count":null,"share":null,"open":false,"note":"≥ 5"}` + "\n" +
		`{"day":"2026-11-28","count":-3,"share":1e-9,"open":null,"note":"\u003cb\u003e"}` + "\n"
	if got := string(testTable().JSONLines()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	lines := strings.Split(strings.TrimSpace(want), "\n")
	got, err := json.Marshal(testTable())
	if want := "[" + strings.Join(lines, ",") + "]"; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := json.Marshal(table.New("a")); err != nil || string(got) != "[]" {
		t.Errorf("got %s, %v for no rows, want []", got, err)
	}
}
