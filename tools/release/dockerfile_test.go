package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
)

// The health check is what OCI tools do not compare: the test of the released
// image has all other settings.
func TestImageSettings(t *testing.T) {
	config, err := imageSettings("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := &v1.HealthConfig{Test: []string{"CMD", "/rollcall", "status", "--alive"},
		Interval: 30 * time.Second, Timeout: 5 * time.Second, StartPeriod: 30 * time.Second}
	if !reflect.DeepEqual(config.Healthcheck, want) {
		t.Errorf("got the health check %+v, want %+v", config.Healthcheck, want)
	}
	if config.User != "65532:65532" || !reflect.DeepEqual(config.Cmd, []string{"agent"}) {
		t.Errorf("got the user %q and command %q", config.User, config.Cmd)
	}
}

func TestImageSettingsCanFail(t *testing.T) {
	for _, text := range []string{"FROM scratch\nVOLUME /data\n", "HEALTHCHECK --retries=3 CMD [\"/x\"]\n", "CMD /x\n", "HEALTHCHECK NONE\n"} {
		name := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if config, err := imageSettings(name); err == nil {
			t.Errorf("%q: got %+v, want an error", text, config)
		}
	}
}

// Two builds that differ are noticed, and so is a file that only one has.
func TestSame(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{a: "one", b: "one"} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := same(a, b); err != nil {
		t.Errorf("the same files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(b, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := same(a, b); err == nil {
		t.Error("no error for a file that only one has")
	}
	os.Remove(filepath.Join(b, "more"))
	if err := os.WriteFile(filepath.Join(b, "file"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := same(a, b); err == nil {
		t.Error("no error for files that differ")
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"v0.1.0": true, "v0.1.0-rc.1": true, "v1.22.333": true, "0.1.0": false, "v1.2": false,
		"v01.2.3": false, "v1.2.3+b": false, "v1.2.3-": false, "": false, "v1.2.3 ": false} {
		if got := semver.MatchString(version); got != want {
			t.Errorf("%q: got %t, want %t", version, got, want)
		}
	}
}
