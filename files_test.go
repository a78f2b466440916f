package rollcall_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	load := func(context.Context) (string, error) { return "", nil }
	save := func(context.Context, string) error { return nil }
	for name, tt := range map[string]struct {
		config rollcall.Config
		want   rollcall.Files
	}{
		"config": {rollcall.Config{ConfigPath: at("config.json")}, rollcall.Files{
			ID: at(".config.json.installation-id"), Decisions: at("config.json"),
			Denial: at(".config.json.telemetry-denied"), Retired: at(".config.json.retired-ids"),
			State: at(".config.json.rollcall-state"), Host: at(".config.json.rollcall-host"), Updates: at(".config.json.rollcall-updates"),
		}},
		"config and state directory": {rollcall.Config{ConfigPath: at("config.json"), StateDir: at("state")}, rollcall.Files{
			ID: at("state/.config.json.installation-id"), Decisions: at("config.json"),
			Denial: at("state/.config.json.telemetry-denied"), Retired: at("state/.config.json.retired-ids"),
			State: at("state/.config.json.rollcall-state"), Host: at("state/.config.json.rollcall-host"), Updates: at("state/.config.json.rollcall-updates"),
		}},
		"state file": {rollcall.Config{App: "x", StateDir: dir}, rollcall.Files{
			ID: at("installation-id"), Decisions: at("consent.json"),
			Denial: at("telemetry-denied"), Retired: at("retired-ids"),
			State: at(".installation-id.rollcall-state"), Host: at(".installation-id.rollcall-host"), Updates: at(".installation-id.rollcall-updates"),
		}},
		"host's functions": {rollcall.Config{ID: rollcall.IDConfig{Load: load, Save: save}, StateDir: dir}, rollcall.Files{
			Decisions: at("consent.json"),
			Denial:    at("telemetry-denied"), Retired: at("retired-ids"),
			State: at(".installation.rollcall-state"), Host: at(".installation.rollcall-host"), Updates: at(".installation.rollcall-updates"),
		}},
	} {
		service, err := rollcall.New(tt.config)
		if err != nil {
			t.Fatal(err)
		}
		if got := service.Files(); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
	if got := (*rollcall.Service)(nil).Files(); got != (rollcall.Files{}) {
		t.Errorf("without a service: got %+v", got)
	}
}
