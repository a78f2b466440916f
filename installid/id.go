// Package installid defines the installation ID: a random UUID that stands for
// one installation of a program and survives its restarts.
//
// The ID is never derived from the hardware, the user or the network, and is
// never logged in full. Package rollcall keeps one; its status and its
// observer are made of the types of this package.
package installid

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// ID is an installation ID: a UUID in canonical lower-case form (RFC 9562,
// section 4). The zero value is no ID. IDs are comparable.
type ID struct{ text string }

// ErrInvalid is returned by [Parse] for a text that is not an installation
// ID. An error never contains the text itself.
var ErrInvalid = errors.New("not an installation ID (a UUID of 36 characters, neither nil nor all ones)")

// New returns a random ID: a UUID of version 4 (RFC 9562, section 5.4) from
// the operating system's secure source.
func New() ID {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return format(b)
}

// Parse parses an ID in the canonical form of 36 characters, in upper or lower
// case. It accepts every UUID version, since an operator or an older program
// may have chosen the ID. It returns [ErrInvalid] for other forms (braces,
// "urn:uuid:", no dashes), the nil UUID, and the UUID of all ones.
func Parse(text string) (ID, error) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, ErrInvalid
	}
	var b [16]byte
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return ID{}, ErrInvalid
	}
	if b == [16]byte{} || bytes.Count(b[:], []byte{0xff}) == len(b) {
		return ID{}, ErrInvalid
	}
	return format(b), nil
}

func format(b [16]byte) ID {
	d := hex.EncodeToString(b[:])
	return ID{d[:8] + "-" + d[8:12] + "-" + d[12:16] + "-" + d[16:20] + "-" + d[20:]}
}

// String returns the full ID, or "" for the zero value. It does not allocate.
// Use [ID.Short] in logs.
func (id ID) String() string { return id.text }

// Short returns the first 8 characters of the ID and "...", for logs, or ""
// for the zero value.
func (id ID) Short() string {
	if id.IsZero() {
		return ""
	}
	return id.text[:8] + "..."
}

// IsZero reports whether id is the zero value.
func (id ID) IsZero() bool { return id.text == "" }

// MarshalText implements [encoding.TextMarshaler]. It returns the canonical
// form, or no bytes for the zero value.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.text), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what [Parse]
// accepts, and the empty text as the zero value.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
