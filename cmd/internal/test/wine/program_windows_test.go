package wine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

// TestNewID is scenario 1 of the original, and the restart after it.
func TestNewID(t *testing.T) {
	t.Parallel()
	s := newSite(t, hostConfig)
	a := s.agent()
	a.settled(true, generated, persisted+`" attempt=1`)
	id := s.id()
	if id == "" || s.read(s.anchor) != id+"\n" {
		t.Errorf("got ID %q and anchor %q", id, s.read(s.anchor))
	}
	if text := s.read(s.config); strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Errorf("lines of other ends: %q", text)
	}
	s.wantNoTemps()
	a.stop()

	before := s.read(s.config)
	s.agent().settled(true)
	if got := s.read(s.config); got != before {
		t.Errorf("a restart changed the config: %q, was %q", got, before)
	}
	if out, err := exec.Command(program, "id", "--config", s.config).Output(); err != nil || strings.TrimSpace(string(out)) != id {
		t.Errorf("rollcall id: got %q, %v, want %q", out, err, id)
	}
	if out, err := exec.Command(program, "doctor", "--config", s.config).CombinedOutput(); err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

// TestNoConfig creates it, and the directories above it.
func TestNoConfig(t *testing.T) {
	t.Parallel()
	s := siteIn(t, filepath.Join(tempDir(t), "a", "b"), "")
	s.agent().settled(true, generated, persisted+`" attempt=1`)
	if text := s.read(s.config); !strings.Contains(text, `"enabled": false`) || idInConfig.FindString(text) == "" {
		t.Errorf("got config %q", text)
	}
}

// TestReadOnlyAttribute is scenario 3 of the original.
func TestReadOnlyAttribute(t *testing.T) {
	t.Parallel()
	s := newSite(t, hostConfig)
	must(t, os.Chmod(s.config, 0o444)) // FILE_ATTRIBUTE_READONLY
	a := s.agent("--attempt-timeout", "1h", "--backoff", "1h", "--start-timeout", "1h")
	a.settled(false, generated, failed, inMemory)
	a.wait("file is read-only")
	a.stop()
	if got := s.read(s.config); got != hostConfig || s.read(s.anchor) != "" {
		t.Errorf("got config %q, anchor %q", got, s.read(s.anchor))
	}
	s.wantNoTemps()

	must(t, os.Chmod(s.config, 0o644))
	s.agent().settled(true, generated, persisted+`" attempt=1`)
	if s.id() == "" {
		t.Error("no ID in the config that can be written")
	}
}

// TestAttributeKept: the new file has the attribute of the old one.
func TestAttributeKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, hostConfig)
	name, err := windows.UTF16PtrFromString(s.config)
	must(t, err)
	must(t, windows.SetFileAttributes(name, windows.FILE_ATTRIBUTE_HIDDEN))
	s.agent().settled(true, generated, persisted+`" attempt=1`)
	if got, err := windows.GetFileAttributes(name); err != nil || got&windows.FILE_ATTRIBUTE_HIDDEN == 0 {
		t.Errorf("got attributes %#x, %v, want hidden", got, err)
	}
}

// TestPaths runs the agent on a config at paths of every kind.
func TestPaths(t *testing.T) {
	short := tempDir(t)
	long := filepath.Join(short, strings.Repeat("d", 200), strings.Repeat("e", 200))
	drive, rest := filepath.VolumeName(short), short[2:]
	for name, dir := range map[string]string{
		"longer than 260":              long,
		"not ASCII":                    filepath.Join(short, "Übergrößen – 設定"),
		"verbatim":                     `\\?\` + filepath.Join(short, "verbatim"),
		"verbatim, longer than 260":    `\\?\` + filepath.Join(long, "verbatim"),
		"UNC":                          `\\localhost\` + drive[:1] + `$` + rest + `\unc`,
		"UNC, verbatim":                `\\?\UNC\localhost\` + drive[:1] + `$` + rest + `\unc2`,
		"slashes":                      filepath.ToSlash(filepath.Join(short, "slashes")),
		"another case than the disk's": strings.ToUpper(short) + `\CASE`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, os.MkdirAll(dir, 0o755))
			s := siteIn(t, dir, hostConfig)
			a := s.agent()
			a.settled(true, generated, persisted+`" attempt=1`)
			id := s.id()
			if id == "" || s.read(s.anchor) != id+"\n" {
				t.Errorf("got ID %q and anchor %q", id, s.read(s.anchor))
			}
			a.stop()
			s.agent().settled(true)
			if got := s.id(); got != id {
				t.Errorf("got ID %q after a restart, want %q", got, id)
			}
			s.wantNoTemps()
		})
	}
}

// TestSymlink changes what a symlink leads to, and keeps the link.
func TestSymlink(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{"absolute": "", "relative": `..\target`, "from the root of the drive": `\`} {
		t.Run(name, func(t *testing.T) {
			top := tempDir(t)
			dir, real := filepath.Join(top, "host"), filepath.Join(top, "target")
			must(t, os.MkdirAll(dir, 0o755))
			must(t, os.MkdirAll(real, 0o755))
			switch target {
			case "":
				target = real
			case `\`:
				target = real[len(filepath.VolumeName(real)):]
			}
			to := siteIn(t, real, hostConfig)
			s := siteIn(t, dir, "")
			if err := os.Symlink(filepath.Join(target, "config.json"), s.config); err != nil {
				skip(t, err.Error()) // it needs a privilege, or the developer mode
			}
			if _, err := os.Lstat(s.config); err != nil {
				skip(t, "this system pretends to make symlinks") // Wine 8
			}
			s.agent().settled(true, generated, persisted+`" attempt=1`)
			if info, err := os.Lstat(s.config); err != nil || info.Mode()&os.ModeSymlink == 0 || to.id() == "" {
				t.Errorf("got %v, %v, and ID %q in the target", info, err, to.id())
			}
		})
	}
}

// skip skips the test, and says so without -v too.
func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), why)
	t.Skip(why)
}
