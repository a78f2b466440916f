package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// An engine is podman with images and containers of its own. Containers share
// the network of this machine, whose loopback is the only one that a container
// in a container can have.
type engine struct {
	t   *testing.T
	dir string
	env []string
}

// settings are what podman needs in a container: no systemd, no limits beyond
// those of this process, and an image for pods that no registry has to supply.
const settings = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
infra_image = "localhost/pause"
`

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, dir: t.TempDir()}
	name := filepath.Join(e.dir, "containers.conf")
	write(t, name, settings)
	e.env = append(os.Environ(), "CONTAINERS_CONF="+name)
	t.Cleanup(func() {
		for _, args := range [][]string{{"pod", "rm", "--all", "--force", "--time", "0"}, {"rm", "--all", "--force", "--time", "0"}, {"rmi", "--all", "--force"}} {
			cmd := exec.Command("podman", e.flags(args)...) // the test's context is over
			cmd.Env = e.env
			if out, err := tryRun(cmd); err != nil {
				t.Logf("%v: %v\n%s", cmd, err, out)
			}
		}
	})
	return e
}

func needEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("containers take a minute")
	}
	lab.Need(t, lab.Root, lab.Tool("podman"), lab.Tool("buildah"), lab.Tool("runc"), lab.Tool("jq"))
}

func (e *engine) flags(args []string) []string {
	return append([]string{"--root", filepath.Join(e.dir, "root"), "--runroot", filepath.Join(e.dir, "run"),
		"--storage-driver=vfs"}, args...)
}

// podman runs podman, which must succeed, and returns what it prints.
func (e *engine) podman(args ...string) string {
	e.t.Helper()
	return run(e.t, e.command("podman", args...))
}

// logs returns what a container printed.
func (e *engine) logs(args ...string) string {
	e.t.Helper()
	out, err := tryRun(e.command("podman", append([]string{"logs"}, args...)...))
	must(e.t, err)
	return out
}

// awaitLogs waits until a container's log contains what. A line that a program
// prints before it answers can reach the log after the answer.
func (e *engine) awaitLogs(what string, args ...string) (logs string) {
	e.t.Helper()
	eventually(e.t, what+" in the logs", func() bool {
		logs = e.logs(args...)
		return strings.Contains(logs, what)
	})
	return logs
}

// healthy waits until a container's health check succeeds: one check can time out.
func (e *engine) healthy(name string) {
	e.t.Helper()
	eventually(e.t, name+" is healthy", func() bool {
		_, err := tryRun(e.command("podman", "healthcheck", "run", name))
		return err == nil
	})
}

func (e *engine) command(tool string, args ...string) *exec.Cmd {
	cmd := command(e.t, "", tool, e.flags(args)...)
	cmd.Env = e.env
	return cmd
}

// buildImage builds the final stage of deploy/Dockerfile, with what the stage
// before it would have made: that one begins with an image of a registry.
func (e *engine) buildImage() {
	t := e.t
	t.Helper()
	_, final, ok := strings.Cut(read(t, filepath.Join(root, "deploy", "Dockerfile")), "\nFROM scratch\n")
	if !ok || strings.Contains(final, "\nFROM ") {
		t.Fatal("the final stage of deploy/Dockerfile is not the one FROM scratch")
	}
	stage := filepath.Join(e.dir, "stage")
	build(t, filepath.Join(stage, "out"))
	must(t, os.MkdirAll(filepath.Join(stage, "out", "config"), 0o755))
	must(t, os.MkdirAll(filepath.Join(stage, "out", "data"), 0o755))
	write(t, filepath.Join(stage, "etc", "ssl", "certs", "ca-certificates.crt"), "# none\n")
	file := filepath.Join(e.dir, "Dockerfile")
	write(t, file, "FROM scratch\n"+final)
	run(t, e.command("buildah", "build", "--isolation", "chroot", "--format", "docker", "--build-context", "build="+stage,
		"--file", file, "--tag", "rollcall", root))
	// What holds a pod together must only run. It has the network of this machine, too.
	write(t, file, "FROM localhost/rollcall\nENV ROLLCALL_LISTEN=off\n")
	run(t, e.command("buildah", "build", "--isolation", "chroot", "--format", "docker", "--file", file, "--tag", "localhost/pause", stage))
}
