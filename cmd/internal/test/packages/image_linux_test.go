package packages

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestImage builds the image and runs what the compose files and manifests
// start.
func TestImage(t *testing.T) {
	needEngine(t)
	e := newEngine(t)
	e.buildImage()
	size, err := strconv.Atoi(e.podman("image", "inspect", "--format", "{{.Size}}", "rollcall"))
	must(t, err)
	t.Logf("the image has %.1f MB", float64(size)/1e6)
	if size > 60e6 {
		t.Errorf("the image has %d bytes", size)
	}
	t.Run("alone", func(t *testing.T) { testAlone(t, e.of(t)) })
	t.Run("agent", func(t *testing.T) { testComposeAgent(t, e.of(t)) })
	t.Run("collector", func(t *testing.T) { testComposeCollector(t, e.of(t)) })
	t.Run("played", func(t *testing.T) { testPlayed(t, e.of(t)) })
	t.Run("replicas", func(t *testing.T) { testReplicas(t, e.of(t)) })
}

// of returns the engine for a subtest.
func (e *engine) of(t *testing.T) *engine { return &engine{t, e.dir, e.env} }

// testAlone runs the image without any setting: as its own user, with an ID
// that is only in memory, because no directory is mounted.
func testAlone(t *testing.T, e *engine) {
	port := freePort(t)
	e.podman("run", "--detach", "--network=host", "--name", "alone", "--env", "ROLLCALL_LISTEN=127.0.0.1:"+port, "rollcall")
	answers(t, "http://127.0.0.1:"+port+"/readyz")
	if user := e.podman("inspect", "--format", "{{.Config.User}}", "alone"); user != "65532:65532" {
		t.Errorf("got the user %s", user)
	}
	e.awaitLogs("counts as in-memory", "alone")
	e.healthy("alone") // which is no reason to replace it
	e.stopped("alone")
	e.podman("rm", "alone")
	if licences := e.podman("run", "--rm", "--network=host", "rollcall", "licenses"); licences != strings.TrimSpace(read(t, filepath.Join(root, "cmd", "rollcall", "notices.txt"))) {
		t.Error("the image prints other licences")
	}
}
