//go:build !rollcall_nosend

package rollcall_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBuildWithoutSender: with the tag, hosts link nothing that can reach a
// network, and TestNoSend passes.
func TestBuildWithoutSender(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	needTool(t, "go")
	readSources(t)
	for tags, want := range map[string]bool{"": true, "rollcall_nosend": false} {
		deps := strings.Fields(goCommand(t, "list", "-deps", "-tags", tags, "."))
		if len(deps) < 20 {
			t.Fatalf("got %q", deps)
		}
		for _, name := range []string{"net/http", "net", "crypto/tls"} {
			if got := slices.Contains(deps, name); got != want {
				t.Errorf("tags %q: imports %s: %v, want %v", tags, name, got, want)
			}
		}
	}
	goCommand(t, "test", "-timeout", "60s", "-tags", "rollcall_nosend", "-run", "^TestNoSend$", "-count", "1", ".")
}

// readSources opens the files that this test depends on, so that the go command
// does not reuse an old result.
func readSources(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: got %q, %v", pattern, names, err)
		}
		for _, name := range names {
			if _, err := os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, out)
	}
	return string(out)
}
