//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// asHost makes this test binary the host.
const asHost = "ROLLCALL_EXAMPLE_HOST"

func TestMain(m *testing.M) {
	rollcall.RunChild()
	os.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
	if os.Getenv(asHost) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestHost starts the host twice: it has the same ID both times, which its config
// holds, and exits on a signal.
func TestHost(t *testing.T) {
	dir := t.TempDir()
	first := runHost(t, dir)
	if second := runHost(t, dir); second != first {
		t.Errorf("after a restart: got %q, want %q", second, first)
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Telemetry struct {
			ID string `json:"installation_id"`
		}
	}
	if err := json.Unmarshal(data, &config); err != nil || config.Telemetry.ID != first {
		t.Errorf("config: got %q, %v, want ID %q", data, err, first)
	}
}

// runHost starts the host in dir, waits until its ID is settled, asks for it, and
// ends the host.
func runHost(t *testing.T, dir string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	address := freeAddress(t)
	host := exec.CommandContext(ctx, os.Args[0])
	host.Dir = dir
	host.Env = append(os.Environ(), asHost+"=1", "LISTEN="+address, "ROLLCALL_INSTALLATION_ID=")
	stderr, err := host.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if !readUntil(stderr, &log, "Telemetry service started") {
		host.Wait()
		t.Fatalf("the host did not start; it said:\n%s", log.String())
	}
	id := ask(ctx, t, "http://"+address+"/installation")
	page := ask(ctx, t, "http://"+address+"/telemetry/")
	if !strings.Contains(page, id) || !strings.Contains(page, "You can only read this page.") || strings.Contains(page, "<form") {
		t.Errorf("got page %s\nwant one with the ID and without a form", page)
	}
	if err := host.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	io.Copy(&log, stderr)
	if err := host.Wait(); err != nil {
		t.Fatalf("the host ended with %v; it said:\n%s", err, log.String())
	}
	return id
}

func readUntil(r io.Reader, log *bytes.Buffer, text string) bool {
	b := make([]byte, 1)
	for !strings.Contains(log.String(), text) {
		if _, err := r.Read(b); err != nil {
			return false
		}
		log.Write(b)
	}
	return true
}

// ask retries until the server listens, which may be a moment after the log line.
func ask(ctx context.Context, t *testing.T, url string) string {
	t.Helper()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(body))
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// freeAddress returns an address on which nothing listens. On Linux, no other
// program takes its port meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = "127.0.0.2"
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
