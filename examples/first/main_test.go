package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// TestReports: the program reports what it declares, once the operator agrees.
func TestReports(t *testing.T) {
	prepared, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	config := telemetry(slog.New(slog.DiscardHandler))
	rollcalltest.CheckFacts(t, config)
	config.ConfigPath, config.Endpoint = filepath.Join(t.TempDir(), "config.json"), collector.URL
	config.Consent, config.Reporting, config.TrustDisk = prepared.Consent, prepared.Reporting, prepared.TrustDisk
	exports.Add(12)
	service := rollcalltest.Start(t, config)
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := service.SendNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := collector.Heartbeats()
	if len(sent) != 1 {
		t.Fatalf("got %d heartbeats, want 1", len(sent))
	}
	for name, want := range map[string]string{"environment": "production", "exports.week": "10-99"} {
		if got, _ := sent[0].Facts.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestIsShown: the README and the package comment show the program as it is, and
// it has fewer than 40 lines.
func TestIsShown(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(data), "\r\n", "\n")
	}
	_, program, _ := strings.Cut(read("main.go"), "\npackage main\n")
	program = "package main\n" + program
	if n := strings.Count(program, "\n"); n >= 40 {
		t.Errorf("the program has %d lines", n)
	}
	if !strings.Contains(read("../../README.md"), "```go\n"+program+"```\n") {
		t.Error("README.md shows another program")
	}
	var comment strings.Builder
	for line := range strings.Lines(program) {
		if comment.WriteString("//"); line != "\n" {
			comment.WriteString("\t")
		}
		comment.WriteString(line)
	}
	if !strings.Contains(read("../../rollcall.go"), "//\n"+comment.String()+"//\n") {
		t.Error("the package comment shows another program")
	}
}
