package report_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

// manyFacts returns n facts of all kinds with short names, and manyValues values
// for them.
func manyFacts(n int) []report.Fact {
	facts := make([]report.Fact, 0, n)
	for i := range n {
		name := fmt.Sprintf("fact_%02d", i)
		switch i % 3 {
		case 0:
			facts = append(facts, report.BoolFact(name, "Shows whether the part is in use."))
		case 1:
			facts = append(facts, report.EnumFact(name, "Shows which kind is in use.", "none", "local", "remote"))
		case 2:
			facts = append(facts, report.BucketFact(name, "Shows how many there are.", 1, 10, 100, 1000))
		}
	}
	return facts
}

func manyValues(n int) map[string]any {
	values := make(map[string]any, n)
	for i, f := range manyFacts(n) {
		values[f.Name] = []any{i%2 == 0, "local", i * i}[i%3]
	}
	return values
}

// fullHeartbeat is the largest valid one.
func fullHeartbeat() report.Heartbeat {
	h := testHeartbeat()
	h.Schema = 1_000_000
	h.App = strings.Repeat("a", report.MaxAppLen)
	h.Version = strings.Repeat("<", report.MaxVersionLen) // takes the most bytes
	h.Client = report.Client{Name: strings.Repeat("c", report.MaxCodeLen), Version: h.Version}
	h.Deployment = report.DeploymentKubernetes
	text := strings.Repeat("p", 64)
	h.Platform = report.Platform{System: text, Release: text, Machine: text}
	h.Facts = nil
	for i := range report.MaxFacts {
		h.Facts = append(h.Facts, report.FactValue{
			Name:  fmt.Sprintf("f%0*d", report.MaxNameLen-1, i),
			Value: strings.Repeat("v", report.MaxFactValueLen),
		})
	}
	return h
}

// fullHealth is the largest valid one.
func fullHealth() report.HealthReport {
	h := testHealth()
	h.Schema = 1_000_000
	h.App = strings.Repeat("a", report.MaxAppLen)
	h.Version = strings.Repeat("<", report.MaxVersionLen)
	code := strings.Repeat("c", report.MaxCodeLen)
	fault := h.Faults[0]
	fault.Source, fault.Component, fault.Stage = code, code, code
	fault.Severity, fault.Count = report.SeverityCritical, report.MaxFaultCount
	fault.Context = map[string]string{}
	for i := range report.MaxContext {
		fault.Context[fmt.Sprintf("k%0*d", report.MaxNameLen-1, i)] = code
	}
	h.Faults = nil
	for i := range report.MaxFaults {
		fault.Reason = fmt.Sprintf("%0*d", report.MaxCodeLen, i)
		fault.Context = maps.Clone(fault.Context)
		h.Faults = append(h.Faults, fault)
	}
	return h
}

// Every valid report is within the limit of its size, with the room to spare
// that the limits claim.
func TestTheLargestFit(t *testing.T) {
	heartbeat := fullHeartbeat()
	data, err := heartbeat.Marshal()
	if err != nil || len(data) > report.MaxHeartbeatBytes/2 {
		t.Errorf("got %d bytes, %v, want at most half of %d", len(data), err, report.MaxHeartbeatBytes)
	}
	if got, dropped, err := report.ParseHeartbeat(data); err != nil || dropped != (report.Dropped{}) || len(got.Facts) != report.MaxFacts {
		t.Errorf("got %d facts, %+v, %v, want all", len(got.Facts), dropped, err)
	}
	health := fullHealth()
	data, err = health.Marshal()
	if err != nil || len(data) > report.MaxHealthBytes*2/3 {
		t.Errorf("got %d bytes, %v, want at most two thirds of %d", len(data), err, report.MaxHealthBytes)
	}
	if got, dropped, err := report.ParseHealth(data); err != nil || dropped != (report.Dropped{}) || len(got.Faults) != report.MaxFaults {
		t.Errorf("got %d faults, %+v, %v, want all", len(got.Faults), dropped, err)
	}
}

func TestLimitsAreWhatTheProtocolSays(t *testing.T) {
	got := []int{
		report.SchemaVersion, report.MaxHeartbeatBytes, report.MaxHealthBytes, report.MaxBodyBytes, report.MaxDepth,
		report.MaxAppLen, report.MaxCodeLen, report.MaxVersionLen, report.MaxNameLen, report.MaxFactValueLen,
		report.MaxFacts, report.MaxFaults, report.MaxFaultCount, report.MaxContext,
	}
	want := []int{1, 16384, 65536, 65536, 16, 64, 64, 64, 64, 32, 64, 25, 1000000000, 8}
	if !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestTextRules(t *testing.T) {
	for _, c := range []struct {
		rule      func(string) bool
		good, bad []string
	}{
		{report.ValidApp,
			[]string{"a", "0", "-", "bird-watch-2", strings.Repeat("a", 64)},
			[]string{"", "A", "a_b", "a.b", "a b", "ä", strings.Repeat("a", 65)}},
		{report.ValidCode,
			[]string{"a", "z", "0", "9", "a.b_c-d", "1-9", strings.Repeat("a", 64)},
			[]string{"", ".a", "_a", "-a", "A", "a b", "a/b", "a\n", "é", strings.Repeat("a", 65)}},
		{report.ValidName,
			[]string{"a", "z", "a1", "az09", "a.b_c", "a..", strings.Repeat("a", 64)},
			[]string{"", "1", ".a", "_a", "`", "{", "a-b", "a/", "a:", "a`", "a{", "A", "a b", strings.Repeat("a", 65)}},
		{report.ValidPlatform,
			[]string{"a", "z", "A", "Z", "6.12.0-45+x~1_Y", "Linux", strings.Repeat("a", 64)},
			[]string{"", ".", "@", "[", "-1", "a b", "a/b", "a#b", "<b>", "a\x00", "é", strings.Repeat("a", 65)}},
	} {
		for _, text := range c.good {
			if !c.rule(text) {
				t.Errorf("%q: got false, want true", text)
			}
		}
		for _, text := range c.bad {
			if c.rule(text) {
				t.Errorf("%q: got true, want false", text)
			}
		}
	}
}
