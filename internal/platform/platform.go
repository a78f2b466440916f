// Package platform tells what kind of machine a program runs on, as coarsely as a report says it, from what the process
// itself can see: no program is started and nothing is asked over a network.
package platform

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/rollcall-dev/rollcall/internal/flight"
)

// Info is a platform.
type Info struct {
	System     string // runtime.GOOS
	Release    string // the first two numbers of the system's version, or "unknown": more would tell machines apart
	Machine    string // runtime.GOARCH
	Deployment string // Bare, Container, Kubernetes, VM or Unknown
}

// The kinds of deployment.
const (
	Bare       = "bare"
	Container  = "container"
	Kubernetes = "kubernetes"
	VM         = "vm"
	Unknown    = "unknown"
)

// maxCPUInfo is how much of /proc/cpuinfo is read: the flags of the first processor are at its beginning.
const maxCPUInfo = 16 << 10

// A Detector looks at the platform until it has found out, and not again: it does not change while a program runs. The
// zero value is ready to use, and safe for concurrent use.
type Detector struct {
	flight flight.Flight
	found  atomic.Pointer[Info]
}

// Detect tells the platform. It waits no longer than ctx; what has not been found by then is unknown.
func (d *Detector) Detect(ctx context.Context) Info {
	if found := d.found.Load(); found != nil {
		return *found
	}
	info := Info{System: runtime.GOOS, Release: Unknown, Machine: runtime.GOARCH, Deployment: Unknown}
	found, err := flight.Do(ctx, &d.flight, "look at the platform", func(context.Context) (Info, error) {
		return Info{Release: shortRelease(release()), Deployment: deployment(os.DirFS("/"), os.Getenv)}, nil
	})
	if err == nil {
		info.Release, info.Deployment = found.Release, found.Deployment
		d.found.Store(&info)
	}
	return info
}

// maxNumber is how many digits a number of a release has at most.
const maxNumber = 6

// shortRelease keeps the first two numbers of a release, such as 6.1 of 6.1.0-13-amd64.
func shortRelease(release string) string {
	first := leadingDigits(release)
	if first == "" {
		return Unknown
	}
	rest, ok := strings.CutPrefix(release[len(first):], ".")
	if second := leadingDigits(rest); ok && second != "" {
		return first + "." + second
	}
	return first
}

// leadingDigits gives the number that text begins with, or "" when it is longer than numbers of releases are.
func leadingDigits(text string) string {
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	if len(digits) > maxNumber {
		return ""
	}
	return digits
}

// deployment looks for what container tools and hypervisors leave to be seen.
func deployment(root fs.FS, getenv func(string) string) string {
	exists := func(name string) bool {
		_, err := fs.Stat(root, name)
		return err == nil
	}
	switch {
	case getenv("KUBERNETES_SERVICE_HOST") != "" || exists("var/run/secrets/kubernetes.io"):
		return Kubernetes
	case getenv("container") != "" || exists(".dockerenv") || exists("run/.containerenv"):
		return Container
	case runtime.GOOS != "linux":
		return Unknown // a virtual machine cannot be told from a real one here
	case hypervisorFlag(root) || virtualProduct(root):
		return VM
	}
	return Bare
}

// hypervisorFlag tells whether the processor says that it is a virtual one, as those of the x86 family do.
func hypervisorFlag(root fs.FS) bool {
	file, err := root.Open("proc/cpuinfo")
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxCPUInfo))
	for lines.Scan() {
		if name, flags, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "flags" {
			return strings.Contains(flags+" ", " hypervisor ")
		}
	}
	return false
}

// virtualProduct tells whether the firmware names a virtual machine, where the processor does not.
func virtualProduct(root fs.FS) bool {
	name, err := fs.ReadFile(root, "sys/class/dmi/id/product_name")
	if err != nil {
		return false
	}
	product := strings.ToLower(string(name))
	return strings.Contains(product, "virtual") || strings.Contains(product, "kvm")
}
