package jsonedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key names one member of a JSON document: the names of the objects that lead to it, from the outermost in.
type Key []string

// ParseKey reads a key in its dotted form, such as "telemetry.installation_id". A name that itself contains a dot
// cannot be written so; make the Key directly.
func ParseKey(dotted string) (Key, error) {
	key := Key(strings.Split(dotted, "."))
	if err := key.Check(); err != nil {
		return nil, fmt.Errorf("key %q: %w", dotted, err)
	}
	return key, nil
}

// String is the dotted form.
func (k Key) String() string { return strings.Join(k, ".") }

// Check tells what is wrong with a key that was not made by ParseKey.
func (k Key) Check() error {
	if len(k) == 0 {
		return errors.New("no name")
	}
	if slices.Contains(k, "") {
		return errors.New("empty name")
	}
	return nil
}
