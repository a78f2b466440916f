package secret_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

func of(t *testing.T, letter string) *secret.Secret {
	t.Helper()
	s, err := secret.New(bytes.Repeat([]byte(letter), 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The keys of installations are in every store, so they must not change:
// printf 'app\0ID' | openssl dgst -sha256 -hmac ssssssssssssssssssssssssssssssss
func TestKey(t *testing.T) {
	const id = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"
	key := of(t, "s").Key("app", id)
	if got := hex.EncodeToString(key[:]); got != "62775bceecf762e187d58a3bd2f34f34" {
		t.Errorf("got key %s", got)
	}
	if of(t, "s").Key("other", id) == key || of(t, "t").Key("app", id) == key {
		t.Error("another app, or another secret, has the same key")
	}
}

func TestParse(t *testing.T) {
	digits := "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
	if got, err := secret.Parse([]byte(" " + digits + "\n")); err != nil || len(got) != 32 || got[31] != 31 {
		t.Errorf("got %x, %v", got, err)
	}
	for _, bad := range []string{"", digits[2:], digits + "20", "x" + digits[1:]} {
		if _, err := secret.Parse([]byte(bad)); err == nil {
			t.Errorf("%q is a secret", bad)
		}
	}
	if _, err := secret.New(make([]byte, 31)); err == nil {
		t.Error("31 bytes are enough")
	}
}

func TestKeyPair(t *testing.T) {
	if !of(t, "s").KeyPair().Equal(of(t, "s").KeyPair()) || of(t, "s").KeyPair().Equal(of(t, "t").KeyPair()) {
		t.Error("the key pair does not follow from the secret alone")
	}
	if bytes.Equal(of(t, "s").Derive("a"), of(t, "s").Derive("b")) {
		t.Error("two purposes share a key")
	}
}

// The hash of a network is the same in all replicas, and another one on the next
// day.
func TestPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, other := of(t, "s").Prefixes(), of(t, "s").Prefixes()
		hash := func(text string) uint64 { return p.Hash(netip.MustParseAddr(text)) }
		before := hash("192.0.2.1")
		if other.Hash(netip.MustParseAddr("192.0.2.1")) != before || hash("::ffff:192.0.2.1") != before {
			t.Error("one address has two hashes")
		}
		if hash("2001:db8::1") != hash("2001:db8::2") || hash("2001:db8:0:1::1") == hash("2001:db8::1") {
			t.Error("a /64 network does not have one hash")
		}
		if hash("192.0.2.2") == before || p.Hash(netip.Addr{}) == before {
			t.Error("two networks share a hash")
		}
		if of(t, "t").Prefixes().Hash(netip.MustParseAddr("192.0.2.1")) == before {
			t.Error("another secret has the same hashes")
		}
		time.Sleep(24 * time.Hour)
		if hash("192.0.2.1") == before {
			t.Error("the hash lasts longer than a day")
		}
	})
}
