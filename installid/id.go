// Package installid makes and keeps an installation ID: a random UUID that stands for one installation of a program and
// survives its restarts.
//
// A [Keeper] holds the rules: an ID that is stored is used as it is; otherwise a new one is made at once, usable at
// once, and saved within limits; when saving fails the ID in memory serves, and the keeper goes on trying rarely until
// it is persisted. A [Store] says where an ID is kept: in a key of a config file with an anchor beside it ([FileStore]),
// in a plain file ([StateStore]), through functions of the host ([FuncStore]), or given from outside ([FixedStore]).
//
// No method of this package waits longer than its context or its documented limits, also while every file operation
// hangs. The ID is never derived from hardware, user or network, and is never logged whole.
package installid

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// ID is an installation ID: a UUID in its canonical text form, in lower case (RFC 9562, section 4). The zero value is
// no ID. IDs are comparable.
type ID struct{ text string }

// ErrInvalid says that a text is not an installation ID. The text itself is never part of an error.
var ErrInvalid = errors.New("not an installation ID (a UUID of 36 characters, neither nil nor all ones)")

const textLen = 36

// New makes a random ID, a UUID of version 4 (RFC 9562, section 5.4), from the operating system's secure source.
func New() ID {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program rather than return weak randomness
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return format(b)
}

// Parse reads an ID in the canonical form of 36 characters, in upper or lower case, of any UUID version: an operator or
// an older program may have put it there. Other forms (braces, "urn:uuid:", without dashes), the nil UUID and the one of
// all ones are [ErrInvalid].
func Parse(text string) (ID, error) {
	if len(text) != textLen || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, ErrInvalid
	}
	var b [16]byte
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return ID{}, ErrInvalid
	}
	if b == [16]byte{} || b == allOnes {
		return ID{}, ErrInvalid
	}
	return format(b), nil
}

var allOnes = [16]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

func format(b [16]byte) ID {
	text := make([]byte, 0, textLen)
	text = hex.AppendEncode(text, b[:4])
	for _, part := range [][]byte{b[4:6], b[6:8], b[8:10], b[10:]} {
		text = append(text, '-')
		text = hex.AppendEncode(text, part)
	}
	return ID{string(text)}
}

// String is the whole ID, or "" for the zero value. It does not allocate. Use [ID.Short] in logs.
func (id ID) String() string { return id.text }

// Short is what logs show of an ID: its first 8 characters and "...", or "" for the zero value.
func (id ID) Short() string {
	if id.IsZero() {
		return ""
	}
	return id.text[:8] + "..."
}

// IsZero tells whether there is no ID.
func (id ID) IsZero() bool { return id.text == "" }

// MarshalText gives the canonical form. It is part of [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.text), nil }

// UnmarshalText reads what [Parse] reads; the empty text is the zero value.
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
