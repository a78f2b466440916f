// Package secret derives from a collector's secret what must be the same in all
// processes that have it, and unknown to all others: the keys of installations,
// and the key pair that replicas recognize each other by.
package secret

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Len is the length of a secret that a file or a variable holds, and MinLen the
// least that [New] accepts, in bytes.
const (
	Len    = 32
	MinLen = 32
)

// ErrMalformed means that a text is not a secret.
var ErrMalformed = errors.New("not a secret of 64 hexadecimal digits")

// Parse returns the secret that a text holds: 64 hexadecimal digits, with white
// space around them or not.
func Parse(text []byte) ([]byte, error) {
	secret, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != Len {
		return nil, ErrMalformed
	}
	return secret, nil
}

// A Secret derives keys. Create it with [New]. It is safe for concurrent use.
type Secret struct {
	bytes []byte
	macs  sync.Pool
}

// New returns a secret of at least MinLen bytes.
func New(bytes []byte) (*Secret, error) {
	if len(bytes) < MinLen {
		return nil, fmt.Errorf("secret has %d bytes, at least %d are needed", len(bytes), MinLen)
	}
	s := &Secret{bytes: append([]byte(nil), bytes...)}
	s.macs.New = func() any { return hmac.New(sha256.New, s.bytes) }
	return s, nil
}

// Key returns the key of an installation ID within an app. Because the app is
// part of it, nobody can tell that one ID is used in two apps.
func (s *Secret) Key(app, id string) (key collector.Key) {
	mac := s.macs.Get().(hash.Hash)
	mac.Reset()
	var buf [160]byte
	text := append(buf[:0], app...)
	text = append(text, 0)
	text = append(text, id...)
	mac.Write(text)
	copy(key[:], mac.Sum(buf[:0]))
	s.macs.Put(mac)
	return key
}

// Number returns a number that only the secret's owner can know, and that is the
// same for the same app and text.
func (s *Secret) Number(app, text string) uint64 {
	key := s.Key("\x00number\x00"+app, text)
	return binary.BigEndian.Uint64(key[:])
}

// Fingerprint identifies the secret without revealing it.
func (s *Secret) Fingerprint() string {
	mac := hmac.New(sha256.New, s.bytes)
	mac.Write([]byte("\x00fingerprint of the secret"))
	return hex.EncodeToString(mac.Sum(nil))
}

// Matches reports whether a fingerprint is the secret's.
func (s *Secret) Matches(fingerprint string) bool {
	return subtle.ConstantTimeCompare([]byte(fingerprint), []byte(s.Fingerprint())) == 1
}

// Derive returns 32 bytes for a purpose. They reveal neither the secret nor the
// bytes for any other purpose.
func (s *Secret) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.bytes, nil, "rollcall "+purpose, 32)
	if err != nil {
		panic(err) // the length is constant
	}
	return key
}

// KeyPair returns the key pair that replicas recognize each other by.
func (s *Secret) KeyPair() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.Derive("replicas")) }
