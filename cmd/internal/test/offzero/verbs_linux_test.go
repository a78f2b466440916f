package offzero

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programVariable names the program for the process in the namespace.
const programVariable = "ROLLCALL_OFFZERO_PROGRAM"

// buildProgram builds the program with its verbs.
func buildProgram(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "rollcall")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", name, "github.com/rollcall-dev/rollcall/cmd/rollcall")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return name
}

// verbs are all verbs of the program except forget, which intentionally
// asks the collector, and those that grant. status asks an agent over
// loopback, unless there is none.
var verbs = []string{
	"id", "status", "doctor", "preview", "preview --explain", "preview --json", "send", "send --json", "export -",
	"reset --yes", "disable --health", "disable", "version", "agent", "up", "collector serve",
}

// running are the verbs that run until they are stopped, and how long
// they run here.
var running = map[string]time.Duration{"agent": time.Second, "up": 2 * time.Second, "collector serve": time.Second}

// testVerbs runs the verbs while telemetry is not granted, and counts
// what is sent.
func testVerbs(t *testing.T, network *network, program string) {
	for _, sc := range []scenario{
		{name: "unset", config: undecided},
		{name: "denied by the config", config: denied},
		{name: "denied by DO_NOT_TRACK", config: granted, env: map[string]string{"DO_NOT_TRACK": "1"}},
		{name: "denied by the host's variable", config: granted, env: map[string]string{denyVariable: "off"}},
		{name: "denied by ROLLCALL_TELEMETRY", config: granted, env: map[string]string{"ROLLCALL_TELEMETRY": "0"}},
		{name: "denied by the policy", config: granted, policy: denied},
		{name: "unreadable: torn config", config: granted[:20]},
		{name: "unreadable: torn policy", config: granted, policy: granted[:20]},
		{name: "withdrawn, and the config is an old copy", config: granted, denial: withdrawn},
		{name: "unreadable: torn record of denials", config: granted, denial: withdrawn[:20]},
	} {
		t.Run("verbs: "+sc.name, func(t *testing.T) {
			before := network.count(t)
			for _, verb := range verbs {
				sc.runVerb(t, program, verb)
			}
			if made := network.count(t).since(before); made != (traffic{}) {
				t.Errorf("got %+v, want nothing at all", made)
			}
		})
	}
	t.Run("control: up, granted", func(t *testing.T) { testUp(t, network, program) })
	t.Run("control: verbs, granted", func(t *testing.T) {
		before := network.count(t)
		scenario{config: granted}.runVerb(t, program, "send")
		if made := network.count(t).since(before); made.queries == 0 || made.packets == 0 {
			t.Errorf("got %+v, want some: nothing here would be noticed", made)
		}
	})
}

// A grant makes up send as soon as it runs, so that this test would
// notice. How soon depends on the machine.
func testUp(t *testing.T, network *network, program string) {
	before := network.count(t)
	for lasts := running["up"]; lasts < time.Minute; lasts *= 2 {
		scenario{config: granted}.runFor(t, program, "up", lasts)
		if made := network.count(t).since(before); made.packets > 0 && made.opens > 0 {
			return
		}
	}
	t.Error("got nothing of up, granted: nothing of it would be noticed")
}

// runVerb runs the program in a directory of its own. It ignores the
// output, and that some verbs fail.
func (sc scenario) runVerb(t *testing.T, program, verb string) {
	t.Helper()
	sc.runFor(t, program, verb, cmp.Or(running[verb], 20*time.Second))
}

// runFor is runVerb for a given time.
func (sc scenario) runFor(t *testing.T, program, verb string, lasts time.Duration) {
	t.Helper()
	dir := t.TempDir()
	config, policy := filepath.Join(dir, "config.json"), filepath.Join(dir, "policy.json")
	for path, text := range map[string]string{config: sc.config, policy: sc.policy, denialsOf(config): sc.denial} {
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strings.Fields(verb)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = dir // for the collector's data
	cmd.Env = []string{
		"ROLLCALL_CONFIG=" + config, "ROLLCALL_POLICY=" + policy, "ROLLCALL_ENDPOINT=" + endpoint, "ROLLCALL_APP=my-app",
		"ROLLCALL_HOST_VERSION=1.2.3", "ROLLCALL_REPORT_DEVELOPMENT=true", "ROLLCALL_DENY_VARIABLE=" + denyVariable,
		"ROLLCALL_UPDATE_URL=https://example.test/", "ROLLCALL_LISTEN=off", "ROLLCALL_COLLECTOR_LISTEN=127.0.0.1:0", "GODEBUG=netdns=go",
	}
	for name, value := range sc.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v\n%s", verb, err, out)
	}
}
