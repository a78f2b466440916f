//go:build dragonfly || openbsd

package fsys

// xattrDiff is empty, since these systems have no extended attributes.
type xattrDiff struct{}

func diffXattrs(src, dst *file) (xattrDiff, error) { return xattrDiff{}, nil }

func (xattrDiff) changed() bool                { return false }
func (xattrDiff) apply(*file) error            { return nil }
func (xattrDiff) applyAccessLists(*file) error { return nil }
