//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
)

// fullConfig returns 20 kB of everything that a config can consist of,
// with the place for the ID in the middle.
func fullConfig() string {
	var b strings.Builder
	b.WriteString("// The settings of the host.\n{\n")
	for i := range 150 {
		fmt.Fprintf(&b, "\t\"section %d\": { // no. %d\n\t\t\"big\": %d12345678901234567890, \"e\" : 1.50E+400,\n", i, i, i+1)
		b.WriteString("\t\t\"text\": \"caf\\u00e9 \\ud83d\\ude00 \\/ é\\t\", \"list\": [1,2 , 3,],\n\t},\n")
		if i == 75 {
			b.WriteString("  \"telemetry\": {\"enabled\": false},\n")
		}
	}
	b.WriteString("\t/* the end */ \"nothing\": null,\n}\n\n")
	return b.String()
}

// TestC05BytesReal saves an ID in configs of all kinds. Every other byte
// stays.
func TestC05BytesReal(t *testing.T) {
	t.Parallel()
	full := fullConfig()
	if len(full) < 20_000 {
		t.Fatalf("got only %d bytes", len(full))
	}
	tests := map[string]string{
		"20 kB with comments": full,
		"CRLF":                strings.ReplaceAll(full, "\n", "\r\n"),
		"byte order mark":     "\ufeff" + full,
		"CRLF and mark":       "\ufeff" + strings.ReplaceAll(full, "\n", "\r\n"),
		"no final newline":    strings.TrimRight(full, "\n"),
		"one line":            `{"b":1,"a":{"x":[{}]},"telemetry":{"enabled": false},"z":"é"}`,
		"tabs":                plainConfig,
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, config)
			r, _ := s.startOnce()
			s.wantStored(r.ID)
			s.wantNoTemps()

			// A replaced ID has the same place.
			h := s.host()
			h.start()
			other := h.ask(doReset).ID
			h.exit()
			if other == r.ID {
				t.Error("the ID was not replaced")
			}
			s.wantStored(other)
		})
	}
}

// TestC06AttributesReal saves an ID in configs with a mode, an owner,
// attributes and access lists of their own.
func TestC06AttributesReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	tests := []struct {
		name    string
		prepare func(path string) error
		uid     int
	}{
		{"mode 0600", func(path string) error { return os.Chmod(path, 0o600) }, 0},
		{"mode 0660, setgid", func(path string) error { return os.Chmod(path, 0o660|os.ModeSetgid) }, 0},
		{"mode 0200", func(path string) error { return os.Chmod(path, 0o200) }, 0},
		{"another owner", func(path string) error { return os.Chown(path, 1000, 1001) }, 0},
		{"another owner, mode 0640", func(path string) error {
			return errors.Join(os.Chown(path, 1000, 1001), os.Chmod(path, 0o640))
		}, 0},
		{"extended attributes", func(path string) error {
			return errors.Join(
				unix.Setxattr(path, "user.origin", []byte("operator"), 0),
				unix.Setxattr(path, "user.empty", nil, 0),
				unix.Setxattr(path, "trusted.backup", bytes.Repeat([]byte("x"), 1000), 0))
		}, 0},
		{"access list", func(path string) error { return setAccessList(path, "system.posix_acl_access") }, 0},
		{"access list inherited from the directory", func(path string) error {
			return setAccessList(filepath.Dir(path), "system.posix_acl_default")
		}, 0},
		{"all of them", func(path string) error {
			return errors.Join(
				unix.Setxattr(path, "user.origin", []byte("operator"), 0), os.Chown(path, 1000, 1001),
				setAccessList(path, "system.posix_acl_access"))
		}, 0},
		{"own file of a user", func(path string) error {
			return errors.Join(os.Chown(filepath.Dir(path), nobody, nobody), os.Chown(path, nobody, nobody), os.Chmod(path, 0o600))
		}, nobody},
		{"file of another group", func(path string) error { // the user may not create files with it, so the config is written in place
			return errors.Join(os.Chmod(filepath.Dir(path), 0o777), os.Chown(path, nobody, 1001), os.Chmod(path, 0o660))
		}, nobody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plainConfig)
			if err := tt.prepare(s.config); errors.Is(err, unix.ENOTSUP) {
				lab.Skip(t, err.Error())
			} else {
				must(t, err)
			}
			before := attributesOf(t, s.config)
			r, st := s.startOnce(asUser(tt.uid))
			if !r.Status.Persisted || st.Incomplete {
				t.Errorf("got %+v", st)
			}
			if got, want := s.configNow(), withID(plainConfig, r.ID.String()); strings.TrimRight(got, " ") != want {
				t.Errorf("got config\n%s\nwant\n%s", got, want)
			}
			after := attributesOf(t, s.config)
			if after.mode != before.mode || after.owner != before.owner || !maps.Equal(after.extended, before.extended) {
				t.Errorf("got %+v, want %+v", after, before)
			}
			anchor := attributesOf(t, s.anchor)
			if wider := anchor.mode.Perm() &^ before.mode.Perm(); wider != 0 {
				t.Errorf("the anchor's mode %v lets more than the config's %v", anchor.mode, before.mode)
			}
			s.wantNoTemps()
		})
	}
}

// attributes are everything about a file but its content.
type attributes struct {
	mode     fs.FileMode
	owner    string
	extended map[string]string
}

func attributesOf(t *testing.T, path string) attributes {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	a := attributes{info.Mode(), fmt.Sprintf("%d:%d", stat.Uid, stat.Gid), make(map[string]string)}
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, buf)
	must(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(path, name, value)
		must(t, err)
		a.extended[name] = string(value[:n])
	}
	return a
}

// setAccessList lets the user and the group 1002 read and write. It
// writes the kernel's representation of acl(5).
func setAccessList(path, kind string) error {
	const (
		version                                     = 2
		userObj, user, groupObj, group, mask, other = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
		nobodyInParticular                          = 0xffffffff
	)
	list := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{
		{userObj, 6, nobodyInParticular}, {user, 6, 1002}, {groupObj, 4, nobodyInParticular}, {group, 6, 1002},
		{mask, 6, nobodyInParticular}, {other, 0, nobodyInParticular},
	} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.perm)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	return unix.Setxattr(path, kind, list, 0)
}

// TestC09LargeReal has configs that are too large or nested too deep to
// be parsed.
func TestC09LargeReal(t *testing.T) {
	most := 200 << 20 // bytes of memory
	if race.Enabled { // which keeps a shadow of it
		most *= 3
	}
	tests := []struct {
		name, config, reason string
	}{
		{"50 MB", `{"a": "` + strings.Repeat("x", 50<<20) + `"}`, "larger than"},
		{"50 MB of numbers", "[" + strings.Repeat("1,", 25<<20) + "1]", "larger than"},
		{"nested 100,000 deep", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), "nested deeper"},
		{"arrays 100,000 deep", `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", "nested deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.config)
			h := s.host(unhurried)
			r := h.start()
			memory := h.ask(doMemory).Memory
			t.Logf("started after %v, with %d MB of memory at most", r.Took, memory>>20)
			if r.Took > startBound || memory > most {
				t.Errorf("started after %v, with %d bytes of memory", r.Took, memory)
			}
			if r.ID.IsZero() || r.Status.Persisted || r.Status.Attempts != 1 || !strings.Contains(r.Status.Reason, tt.reason) {
				t.Errorf("got %+v", r.Status)
			}
			h.exit()
			if s.configNow() != tt.config || len(s.names()) != 1 {
				t.Errorf("something has changed: %d bytes, %q", len(s.configNow()), s.names())
			}
		})
	}
	t.Run("7 MB", func(t *testing.T) { // which is not too large
		s := newSite(t, strings.TrimSuffix(plainConfig, "\n}\n")+",\n\t\"list\": ["+strings.Repeat("1, ", 7<<20/3)+"2]\n}\n")
		h := s.host(func(s *setup) { s.AttemptTimeout, s.StartTimeout = patience, patience })
		r := h.start()
		h.awaitPersisted()
		memory := h.ask(doMemory).Memory
		t.Logf("started after %v, with %d MB of memory at most", r.Took, memory>>20)
		if memory > most {
			t.Errorf("it used %d bytes of memory", memory)
		}
		if got := s.configNow(); got != withID(s.before, r.ID.String()) {
			t.Errorf("something else has changed: %d bytes", len(got))
		}
		h.exit()
	})
}
