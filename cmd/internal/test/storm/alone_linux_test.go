package storm

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// insideVariable names the built program in a test that [alone] runs.
const insideVariable = "ROLLCALL_STORM_INSIDE"

// alone runs the test once more, in namespaces of its own for the network, mounts,
// and processes, and reports whether this is that run. Nobody else sees its ports
// and mounts, and whatever it started ends with it.
func alone(t *testing.T) bool {
	t.Helper()
	lab.Need(t, lab.Root, lab.Tool("ip"), lab.Tool("unshare"))
	if os.Getenv(insideVariable) != "" {
		ip(t, "link set lo up")
		return true
	}
	// The first process of a namespace inherits orphans, and a shell reaps them.
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", `"$0" "$@"; exit $?`, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), insideVariable+"="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in namespaces of its own: %v", err)
	}
	return false
}

func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", command, err, out)
		}
	}
}
