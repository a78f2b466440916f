package dashboard

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program in Go is one: it builds against this library. The browser tests run the
// ways in Python and with curl.
func TestStartGo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	for _, s := range starters("my-app", "https://stats.example") {
		if strings.Contains(s.Code, "<app>") || strings.Contains(s.Code, "<endpoint>") ||
			!strings.Contains(s.Code, "my-app") || !strings.Contains(s.Code, "https://stats.example") {
			t.Errorf("%s is not filled in: %s", s.Name, s.Code)
		}
		if s.ID == "agent" && !strings.Contains(s.Code, "ROLLCALL_APP=my-app ROLLCALL_HOST_VERSION=1.0.0 ROLLCALL_ENDPOINT=https://stats.example") {
			t.Errorf("%s: got %s", s.Name, s.Code)
		}
		if s.ID != "go" {
			continue
		}
		file := filepath.Join(dir, "main.go")
		if err := os.WriteFile(file, []byte(s.Code), 0o600); err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), file)
		build.Dir = "../../../.." // whose go.work has the library
		if output, err := build.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, output, s.Code)
		}
	}
}
