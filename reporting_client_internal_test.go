package rollcall

import (
	"runtime/debug"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

func TestLibraryVersion(t *testing.T) {
	const library, program = "github.com/rollcall-dev/rollcall", "github.com/rollcall-dev/rollcall/cmd"
	for name, tt := range map[string]struct {
		main debug.Module
		dep  string
		want string
	}{
		"host":                 {debug.Module{Path: "example.com/host", Version: "v9.0.0"}, "v0.1.0", "v0.1.0"},
		"host with a checkout": {debug.Module{Path: "example.com/host", Version: "v9.0.0"}, "(devel)", "(devel)"},
		"installed program":    {debug.Module{Path: program, Version: "v0.1.1"}, "v0.1.0", "v0.1.0"},
		"program in the tree":  {debug.Module{Path: program, Version: "v0.1.1"}, "(devel)", "(devel)"},
		"the library itself":   {debug.Module{Path: library, Version: "v0.1.0"}, "", "v0.1.0"},
		"a host without it":    {debug.Module{Path: "example.com/host", Version: "v9.0.0"}, "", ""},
	} {
		info := &debug.BuildInfo{Main: tt.main, Deps: []*debug.Module{{Path: "golang.org/x/sys", Version: "v0.28.0"}}}
		if tt.dep != "" {
			info.Deps = append(info.Deps, &debug.Module{Path: library, Version: tt.dep})
		}
		if got := libraryVersion(info); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// TestClient: a program that reports for another one names itself.
func TestClient(t *testing.T) {
	for _, tt := range []struct{ configured, want report.Client }{
		{report.Client{Name: "my-agent", Version: "v1.2.3"}, report.Client{Name: "my-agent", Version: "1.2.3"}},
		{report.Client{Name: "my-agent"}, report.Client{Name: "my-agent", Version: report.NormalizeVersion("(devel)")}},
	} {
		if got := (ReportingConfig{Client: tt.configured}).client(); got != tt.want {
			t.Errorf("%+v: got %+v, want %+v", tt.configured, got, tt.want)
		}
	}
	if got := (ReportingConfig{}).client(); got.Name != "rollcall-go" || got.Version == "" {
		t.Errorf("got %+v", got)
	}
}
