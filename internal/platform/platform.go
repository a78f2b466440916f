// Package platform detects what kind of machine a program runs on, as coarsely
// as reports need it. It reads what the process can see, starts no program and
// uses no network.
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
	Release    string // the first two numbers of the system's version, or "unknown"; more would identify machines
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

// What shows a virtual machine.
const (
	cpuInfo     = "proc/cpuinfo"
	productName = "sys/class/dmi/id/product_name"
)

// maxCPUInfo is how much of /proc/cpuinfo is read, in bytes. The flags of the
// first processor are at its beginning.
const maxCPUInfo = 16 << 10

// A Detector detects the platform once. The zero value is ready to use, and safe
// for concurrent use.
type Detector struct {
	flight flight.Flight
	found  atomic.Pointer[Info]
}

// Detect returns the platform. It waits no longer than ctx; what it has not
// found by then is Unknown, and the next call tries again.
func (d *Detector) Detect(ctx context.Context) Info {
	if found := d.found.Load(); found != nil {
		return *found
	}
	info := Info{System: runtime.GOOS, Release: Unknown, Machine: runtime.GOARCH, Deployment: Unknown}
	found, err := flight.Do(ctx, &d.flight, "detect the platform", func(context.Context) (Info, error) {
		return Info{Release: shortRelease(release()), Deployment: deployment(os.DirFS("/"), os.Getenv)}, nil
	})
	if err == nil {
		info.Release, info.Deployment = found.Release, found.Deployment
		d.found.Store(&info)
	}
	return info
}

// shortRelease returns the first two numbers of a release: 6.1 of
// 6.1.0-13-amd64.
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

// leadingDigits returns the number that text begins with, or "" if it is longer
// than any number of a release.
func leadingDigits(text string) string {
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	if len(digits) > 6 {
		return ""
	}
	return digits
}

// deployment looks for traces of container tools and hypervisors.
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
		return Unknown // virtual machines are not detected here
	case hypervisorFlag(root) || virtualProduct(root):
		return VM
	case !exists(cpuInfo) && !exists(productName):
		return Unknown
	}
	return Bare
}

// hypervisorFlag reports whether the processor has the flag of a virtual one,
// as on x86.
func hypervisorFlag(root fs.FS) bool {
	file, err := root.Open(cpuInfo)
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

// virtualProduct reports whether the firmware names a virtual machine.
func virtualProduct(root fs.FS) bool {
	name, err := fs.ReadFile(root, productName)
	if err != nil {
		return false
	}
	product := strings.ToLower(string(name))
	return strings.Contains(product, "virtual") || strings.Contains(product, "kvm")
}
