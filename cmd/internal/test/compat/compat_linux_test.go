package compat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

const bound = 10 * time.Minute

// notKept are the kinds of records that no kept store has.
var notKept = map[string]string{
	"aside": "it exists only while the clock is doubted, which takes a wrong clock",
}

// The IDs in testdata/make.sh.
const (
	checkpointed = "9f14e45f-ceea-467f-9575-5a2b5d1f3001"
	journaled    = "9f14e45f-ceea-467f-9575-5a2b5d1f3030"
)

// TestStores opens the store of each release.
func TestStores(t *testing.T) {
	kept, err := filepath.Glob("testdata/*.tar.gz")
	if err != nil || len(kept) == 0 {
		t.Fatalf("no kept stores: %v", err)
	}
	program := filepath.Join(t.TempDir(), "rollcall")
	run(t, "", "go", "build", "-o", program, "../../../rollcall")
	for _, archive := range kept {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			dir := t.TempDir()
			run(t, "", "tar", "xzf", archive, "-C", dir)
			testStore(t, program, filepath.Join(dir, "data"), filepath.Join(dir, "figures"))
		})
	}
}

func testStore(t *testing.T, program, data, figures string) {
	verb := func(args ...string) []byte {
		return run(t, data, program, append(append([]string{"collector"}, args...), "--data-dir", data)...)
	}
	verb("check", "--fix-day", "--yes") // a kept store looks as if the collector had been stopped for long
	for name, args := range map[string][]string{
		"apps.json": {"app", "list", "--json"}, "tokens.json": {"token", "list", "--json"},
		"releases.json": {"release", "list", "demo", "--json"}, "refused.json": {"app", "refused-ids", "demo", "--json"},
	} {
		holds(t, name, value(t, read(t, filepath.Join(figures, name))), value(t, verb(args...)))
	}

	// Each total is still there.
	now := map[string]any{}
	for line := range bytes.Lines(verb("export", "demo")) {
		now[recordName(t, line)] = value(t, line)
	}
	before := slices.Collect(bytes.Lines(read(t, filepath.Join(figures, "demo.jsonl"))))
	if len(before) < 100 {
		t.Fatalf("the release exported only %d lines", len(before))
	}
	for _, line := range before[1 : len(before)-1] { // without the name of the format and the checksum
		name := recordName(t, line)
		holds(t, "export "+name, value(t, line), now[name])
	}

	// A running collector knows the installations, and takes their reports.
	url := serve(t, program, data)
	holds(t, "installation", value(t, read(t, filepath.Join(figures, "installation.json"))), value(t, get(t, url+"/v1/installations/"+checkpointed)))
	get(t, url+"/v1/installations/"+journaled)
	report := fmt.Sprintf(`{"schema":1,"app":"demo","installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"2.0.0"}`,
		journaled, time.Now().UTC().Format(time.RFC3339))
	response, err := http.Post(url+"/v1/heartbeat", "application/json", strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Errorf("a heartbeat of a known installation: got %s", response.Status)
	}
}

// TestKinds holds the latest kept store to the records that the engine knows:
// one of each kind is in it, and so is a journal.
func TestKinds(t *testing.T) {
	kept, err := filepath.Glob("testdata/*.tar.gz")
	if err != nil || len(kept) == 0 {
		t.Fatalf("no kept stores: %v", err)
	}
	slices.SortFunc(kept, compareReleases)
	latest := kept[len(kept)-1]
	dir := t.TempDir()
	run(t, "", "tar", "xzf", latest, "-C", dir)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "data", "rollcall.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for kind, from := range kinds(t) {
		if notKept[kind] == "" && !hasRecord(t, store, kind) {
			t.Errorf("%s has no record of the kind %q (%s): make it with testdata/make.sh", latest, kind, from)
		}
	}
	entries := 0
	for _, err := range store.Journal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		entries++
	}
	if entries == 0 {
		t.Errorf("%s has no journal", latest)
	}
}

func hasRecord(t *testing.T, store collector.Store, kind string) bool {
	t.Helper()
	for app := range collector.AppNum(20) { // the collector itself, the apps, and what an import replaced
		for _, err := range store.Records(t.Context(), kind, app, 0, 1<<30) {
			if err != nil {
				t.Fatal(err)
			}
			return true
		}
	}
	return false
}

// kinds returns the constants in the engine that name kinds of records.
func kinds(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "../../collector/engine/records.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "kind") {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			kind, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[kind] = spec.Names[0].Name
		}
		return true
	})
	if len(found) < 20 {
		t.Fatalf("found only the kinds %v", found)
	}
	return found
}

// compareReleases orders names such as testdata/v0.1.0.tar.gz.
func compareReleases(a, b string) int {
	numbers := regexp.MustCompile(`[0-9]+`)
	return slices.CompareFunc(numbers.FindAllString(filepath.Base(a), -1), numbers.FindAllString(filepath.Base(b), -1), func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
}

// holds fails unless now says all that before said.
func holds(t *testing.T, what string, before, now any) {
	t.Helper()
	for _, problem := range missing(what, before, now) {
		t.Error(problem)
	}
}

// missing returns what before said and now does not. It may say more.
func missing(what string, before, now any) (problems []string) {
	wrong := []string{fmt.Sprintf("%s: got %v, want %v", what, now, before)}
	switch before := before.(type) {
	case map[string]any:
		fields, ok := now.(map[string]any)
		if !ok {
			return wrong
		}
		for _, name := range slices.Sorted(maps.Keys(before)) {
			problems = append(problems, missing(what+"."+name, before[name], fields[name])...)
		}
	case []any:
		list, ok := now.([]any)
		if !ok || len(list) < len(before) {
			return wrong
		}
		for i := range before {
			problems = append(problems, missing(fmt.Sprintf("%s[%d]", what, i), before[i], list[i])...)
		}
	default:
		if !reflect.DeepEqual(before, now) {
			return wrong
		}
	}
	return problems
}

func TestMissing(t *testing.T) {
	before := value(t, []byte(`{"a":[1,2]}`))
	for now, want := range map[string]int{
		`{"a":[1,2]}`: 0, `{"a":[1,2,3],"b":1}`: 0,
		`{"a":[1]}`: 1, `{"a":[2,1]}`: 2, `{"b":[1,2]}`: 1, `{"a":{"0":1}}`: 1, `null`: 1,
	} {
		if got := missing("x", before, value(t, []byte(now))); len(got) != want {
			t.Errorf("%s: got %q, want %d problems", now, got, want)
		}
	}
}

// recordName returns what identifies a line of an export.
func recordName(t *testing.T, line []byte) string {
	t.Helper()
	var record struct{ Kind, Day, Name string }
	if err := json.Unmarshal(line, &record); err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{record.Kind, record.Day, record.Name}, " ")
}

func value(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s, %v, %s", url, response.Status, err, text)
	}
	return text
}

// run runs a command, which must succeed, and returns its output.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd, err, out, &stderr)
	}
	return out
}

// serve runs the collector until the end of the test, and returns its URL.
func serve(t *testing.T, program, data string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	cmd := exec.CommandContext(ctx, program, "collector", "serve", "--data-dir", data, "--listen", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if _, rest, ok := strings.Cut(lines.Text(), `msg="Collector serves" address=`); ok {
				address <- strings.Fields(rest)[0]
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("the collector ended with %v", err)
		}
		cancel()
	})
	select {
	case found := <-address:
		return "http://" + found
	case <-drained:
		t.Fatal("the collector ended")
	}
	return ""
}
