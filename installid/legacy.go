package installid

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
)

// dnsNamespace is the UUID that stands for the namespace of domain names (RFC
// 9562, section 6.6), without its dashes.
const dnsNamespace = "6ba7b8109dad11d180b400c04fd430c8"

// FromLegacy returns the ID that stands for one of another kind, such as a
// random token that a program kept before it came to Rollcall. It is always the
// same for the same arguments, so every replica and every restored backup gets
// the same one: a UUID of version 5 (RFC 9562, section 5.5) of text, in the
// namespace that is the UUID of version 5 of the domain name namespace. In
// Python it is uuid5(uuid5(NAMESPACE_DNS, namespace), text).
//
// A text that is an ID already is returned as [Parse] does, and the empty text
// as the zero value. So a host can call FromLegacy on whatever its settings
// hold. The old ID must be random: what is derived from hardware, user or
// network can be guessed, and so can the result.
func FromLegacy(namespace, text string) ID {
	if text == "" {
		return ID{}
	}
	if id, err := Parse(text); err == nil {
		return id
	}
	var domain [16]byte
	hex.Decode(domain[:], []byte(dnsNamespace))
	return format(named(named(domain, strings.ToLower(namespace)), text))
}

// named returns the UUID of version 5 of a name in a namespace. SHA-1 is what
// the version prescribes; nothing relies on it being hard to collide.
func named(namespace [16]byte, name string) (b [16]byte) {
	sum := sha1.Sum(append(namespace[:], name...))
	copy(b[:], sum[:])
	b[6] = b[6]&0x0f | 0x50
	b[8] = b[8]&0x3f | 0x80
	return b
}
