package hosts

import (
	"os"
	"path/filepath"
	"testing"
)

// How much larger a stripped program that serves HTTP becomes by the library;
// decision 0012 says what the bytes are. The client that sends reports is about
// 750 kB of them, which a program built with the tag withoutSending lacks.
const (
	maxBytes               = 2_300_000
	maxBytesWithoutSending = 1_430_000
	withoutSending         = "rollcall_nosend"
)

// TestSize builds the same small web service with the library and without.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds three programs")
	}
	bare := buildSize(t, "without", "")
	full, mute := buildSize(t, "with", "")-bare, buildSize(t, "with", withoutSending)-bare
	t.Logf("the library adds %d bytes to a program of %d, and %d when built with %s", full, bare, mute, withoutSending)
	if full > maxBytes {
		t.Errorf("the library adds %d bytes to a stripped program, want at most %d", full, maxBytes)
	}
	if mute > maxBytesWithoutSending {
		t.Errorf("built with %s the library adds %d bytes, want at most %d", withoutSending, mute, maxBytesWithoutSending)
	}
}

// buildSize returns the size of a stripped program of testdata.
func buildSize(t *testing.T, name, tags string) int64 {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, map[string]string{"main.go": string(source), "go.mod": "module example.com/host\n\ngo 1.25\n"})
	if name == "with" {
		h.run(t, "get", library+"@"+h.version)
	}
	h.run(t, "build", "-tags="+tags, "-ldflags=-s -w", "-o", "host", ".")
	info, err := os.Stat(filepath.Join(h.dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
