package jsonedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Key names one member of a document: the names of the objects that lead to
// it, from the outermost in.
type Key []string

// ParseKey returns the key with this dotted form, such as
// "telemetry.installation_id". A name that itself contains a dot has no dotted
// form; make the Key directly.
func ParseKey(dotted string) (Key, error) {
	key := Key(strings.Split(dotted, "."))
	if err := key.Check(); err != nil {
		return nil, fmt.Errorf("key %q: %w", dotted, err)
	}
	return key, nil
}

// String returns the dotted form.
func (k Key) String() string { return strings.Join(k, ".") }

// Check returns an error if the key, or one of its names, is empty.
func (k Key) Check() error {
	if len(k) == 0 {
		return errors.New("no name")
	}
	if slices.Contains(k, "") {
		return errors.New("empty name")
	}
	return nil
}
