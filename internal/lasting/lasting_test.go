package lasting_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/lasting"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestAbout judges files by where they lie.
func TestAbout(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct {
		name              string
		point, fstype, in string
		want              string // part of the reason; empty for no doubt
	}{
		{"a disk", "/", "ext4", "/", ""},
		{"a directory of the machine", "/srv", "ext4", "/home/user/config", ""},
		{"a volume with a name", "/srv", "ext4", "/var/lib/docker/volumes/config/_data", ""},
		{"a network", "/srv", "nfs4", "/", ""},
		{"FUSE", "/srv", "fuse.rclone", "/", ""},
		{"overlay below the root", "/srv", "overlay", "/", ""},
		{"container", "/", "overlay", "/", "container's own layer"},
		{"container without root", "/", "fuse.fuse-overlayfs", "/", "container's own layer"},
		{"container of another driver", "/", "ext4", "/var/lib/containers/storage/vfs/dir/" + hash, "container's own layer"},
		{"container on btrfs", "/", "btrfs", "/@/var/lib/docker/btrfs/subvolumes/" + hash, "container's own layer"},
		{"memory", "/srv", "tmpfs", "/", "memory (tmpfs)"},
		{"memory, ramfs", "/srv", "ramfs", "/", "memory (ramfs)"},
		{"initial RAM disk", "/", "rootfs", "/", "memory (rootfs)"},
		{"volume without a name", "/srv", "ext4", "/var/lib/docker/volumes/" + hash + "/_data", "volume without a name"},
		{"its directory", "/srv", "xfs", "/docker/volumes/" + hash + "/_data/sub", "volume without a name"},
		{"63 digits", "/srv", "ext4", "/volumes/" + hash[1:] + "/_data", ""},
		{"upper case", "/srv", "ext4", "/volumes/" + strings.ToUpper(hash) + "/_data", ""},
		{"emptyDir", "/srv", "ext4", "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/config", "emptyDir"},
		{"persistent volume", "/srv", "ext4", "/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/pv/mount", ""},
	} {
		for _, file := range []string{"/srv/config.json", "/srv/missing/config.json"} {
			disk := faultfs.New()
			disk.WriteFile("/srv/config.json", nil, 0o644)
			disk.MarkMount(tt.point, tt.fstype, tt.in)
			got := lasting.About(disk, file)
			if (got.Reason == "") != (tt.want == "") || !strings.Contains(got.Reason, tt.want) || got.Certain {
				t.Errorf("%s, %s: got %+v, want %q", tt.name, file, got, tt.want)
			}
			if text := got.String(); (text == "") != (tt.want == "") || tt.want != "" && !strings.HasSuffix(text, "; mount a directory of the machine for it") {
				t.Errorf("%s: got %q", tt.name, text)
			}
		}
	}
}

// TestAboutReplaced is about a file that is mounted, and was replaced where it
// is mounted from. It does not last, wherever it lies.
func TestAboutReplaced(t *testing.T) {
	disk := faultfs.New()
	disk.WriteFile("/srv/config.json", nil, 0o644)
	disk.MarkReplaced("/srv/config.json")
	if got := lasting.About(disk, "/srv/config.json"); !got.Certain || !strings.Contains(got.String(), "no name any more; mount its directory") {
		t.Errorf("got %+v", got)
	}
	if got := lasting.About(disk, "/srv/other"); got != (lasting.Doubt{}) {
		t.Errorf("beside it: got %+v", got)
	}
}

// TestAboutUnknown doubts nothing that the system does not say.
func TestAboutUnknown(t *testing.T) {
	disk := faultfs.New()
	disk.MarkMount("/", "overlay", "/")
	disk.Inject(faultfs.Rule{Op: faultfs.OpPlace, Err: errors.ErrUnsupported})
	if got := lasting.About(disk, "/srv/config.json"); got != (lasting.Doubt{}) {
		t.Errorf("got %+v", got)
	}
}

func TestSurvival(t *testing.T) {
	begin := time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC)
	const day = 24 * time.Hour
	s := lasting.Parse(lasting.Begin("x", begin).String())
	for _, tt := range []struct {
		text     string
		now      time.Time
		of, long bool
	}{
		{"x", begin, true, false},
		{"y", begin.Add(40 * day), false, false},
		{"x", begin.Add(30*day - time.Minute), true, false},
		{"x", begin.Add(30 * day), true, true},
		{"x", begin.Add(-time.Minute), false, false},                                   // the clock was wrong then
		{"x", time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), false, false},               // or is now
		{"x", time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), true, false},                // beyond belief
		{"x", begin.Add(31 * day).In(time.FixedZone("far east", 14*3600)), true, true}, // zones do not matter
	} {
		if of, long := s.Of(tt.text, tt.now), s.Long(tt.text, tt.now); of != tt.of || long != tt.long {
			t.Errorf("%s at %v: got %v, %v, want %v, %v", tt.text, tt.now, of, long, tt.of, tt.long)
		}
	}
	if s := lasting.Begin("x", time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)); s != (lasting.Survival{}) {
		t.Errorf("without a clock: got %v", s)
	}
	if line := lasting.Begin("x", begin).String(); line != "2026-05-06T07:08:09Z 2d711642b726b044" {
		t.Errorf("got line %q", line)
	}
	for _, line := range []string{"", "x", "2026-05-06T07:08:09Z", "2026-05-06T07:08:09Z ", "2026-05-06T07:08:09Z 2d71", "1970-01-01T00:00:00Z 2d711642b726b044", "2d711642b726b044"} {
		if got := lasting.Parse(line); got != (lasting.Survival{}) || got.Long("x", begin.Add(99*day)) {
			t.Errorf("%q: got %v, want none", line, got)
		}
	}
}
