package fsys

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIsMountRoot covers the answers of kernels that are older than the one the
// tests run on.
func TestIsMountRoot(t *testing.T) {
	const root, id = unix.STATX_ATTR_MOUNT_ROOT, unix.STATX_MNT_ID
	broken := errors.New("broken")
	for _, tt := range []struct {
		what         string
		file         unix.Statx_t
		directory    unix.Statx_t
		directoryErr error
		want         bool
	}{
		{"the kernel says yes", unix.Statx_t{Attributes_mask: root, Attributes: root}, unix.Statx_t{}, broken, true},
		{"the kernel says no", unix.Statx_t{Attributes_mask: root, Mask: id, Mnt_id: 1}, unix.Statx_t{Mask: id, Mnt_id: 2}, broken, false},
		{"another mount", unix.Statx_t{Mask: id, Mnt_id: 1}, unix.Statx_t{Mask: id, Mnt_id: 2}, nil, true},
		{"the same mount", unix.Statx_t{Mask: id, Mnt_id: 1}, unix.Statx_t{Mask: id, Mnt_id: 1}, nil, false},
		{"no mount identifiers", unix.Statx_t{Mnt_id: 1}, unix.Statx_t{Mnt_id: 2}, broken, false},
	} {
		got, err := isMountRoot(tt.file, func() (unix.Statx_t, error) { return tt.directory, tt.directoryErr })
		if got != tt.want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", tt.what, got, err, tt.want)
		}
	}
	_, err := isMountRoot(unix.Statx_t{Mask: id}, func() (unix.Statx_t, error) { return unix.Statx_t{}, broken })
	if err != broken {
		t.Errorf("broken directory: got %v, want its error", err)
	}
}
