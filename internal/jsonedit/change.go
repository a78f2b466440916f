package jsonedit

import (
	"bytes"
	"slices"
)

// A Change is one edit of one document, worked out and verified.
type Change struct {
	before  []byte
	old     Value
	key     Key
	value   Scalar
	splices []splice
}

// Plan works out how to set key to value in data, which it keeps and which
// must not be modified. Its errors are those of [Edit].
func Plan(data []byte, key Key, value Scalar) (*Change, error) {
	splices, old, _, err := plan(data, key, value)
	if err != nil {
		return nil, err
	}
	return &Change{data, old, key, value, splices}, nil
}

// Old returns the value that the change replaces.
func (c *Change) Old() Value { return c.old }

// Apply returns the changed document.
func (c *Change) Apply() []byte { return apply(c.before, c.splices) }

// Is reports whether Plan would return this change for the arguments.
func (c *Change) Is(data []byte, key Key, value Scalar) bool {
	return bytes.Equal(c.value.raw, value.raw) && slices.Equal(c.key, key) && bytes.Equal(c.before, data)
}
