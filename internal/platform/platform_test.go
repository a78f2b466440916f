package platform

import (
	"context"
	"runtime"
	"testing"
	"testing/fstest"
)

func TestShortRelease(t *testing.T) {
	for in, want := range map[string]string{
		"6.1.0-13-amd64":    "6.1",
		"10.0":              "10.0",
		"23":                "23",
		"":                  Unknown,
		"private build 1.2": Unknown,
		"6.":                "6",
		"6.x":               "6",
		"12345678.1":        Unknown,
		"6.12345678":        "6",
	} {
		if got := shortRelease(in); got != want {
			t.Errorf("shortRelease(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestDeployment(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("the traces are those of Linux")
		return
	}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, test := range map[string]struct {
		files fstest.MapFS
		env   map[string]string
		want  string
	}{
		"bare":               {fstest.MapFS{"proc/cpuinfo": file("processor\t: 0\nflags\t\t: fpu vme sse\n")}, nil, Bare},
		"virtual processor":  {fstest.MapFS{"proc/cpuinfo": file("processor\t: 0\nflags\t\t: fpu hypervisor sse\n")}, nil, VM},
		"flag at the end":    {fstest.MapFS{"proc/cpuinfo": file("flags\t\t: fpu hypervisor\n")}, nil, VM},
		"part of a flag":     {fstest.MapFS{"proc/cpuinfo": file("flags\t\t: fpu nohypervisor hypervisors\n")}, nil, Bare},
		"virtual product":    {fstest.MapFS{"sys/class/dmi/id/product_name": file("KVM Virtual Machine\n")}, nil, VM},
		"docker":             {fstest.MapFS{".dockerenv": file("")}, nil, Container},
		"podman":             {fstest.MapFS{"run/.containerenv": file("")}, nil, Container},
		"container by env":   {fstest.MapFS{}, map[string]string{"container": "lxc"}, Container},
		"kubernetes":         {fstest.MapFS{".dockerenv": file("")}, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Kubernetes},
		"real product":       {fstest.MapFS{"sys/class/dmi/id/product_name": file("Mini PC\n")}, nil, Bare},
		"nothing to look at": {fstest.MapFS{}, nil, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			got := deployment(test.files, func(name string) string { return test.env[name] })
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var d Detector
	if got := d.Detect(canceled); got.Deployment != Unknown || got.System != runtime.GOOS {
		t.Errorf("canceled: got %+v, want the deployment unknown", got)
	}
	got := d.Detect(t.Context())
	if got.System != runtime.GOOS || got.Machine != runtime.GOARCH || got.Release == "" || got.Deployment == "" {
		t.Errorf("got %+v, want every field set", got)
	}
	if again := d.Detect(canceled); again != got {
		t.Errorf("got %+v, want %+v as before", again, got)
	}
	if n := testing.AllocsPerRun(100, func() { d.Detect(canceled) }); n != 0 {
		t.Errorf("%v allocations when the platform is known", n)
	}
}
