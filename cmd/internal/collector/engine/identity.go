package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// minSecret is the length of the shortest secret, in bytes.
const minSecret = 32

// A keyring makes the keys that stand for installations. It is safe for concurrent use.
type keyring struct {
	secret []byte
	macs   sync.Pool
}

func newKeyring(secret []byte) *keyring {
	k := &keyring{secret: append([]byte(nil), secret...)}
	k.macs.New = func() any { return hmac.New(sha256.New, k.secret) }
	return k
}

// key gives the key of an installation ID within an app. The app's text is part of it, so that one ID in two apps cannot
// be told to be the same.
func (k *keyring) key(app, id string) (key collector.Key) {
	mac := k.macs.Get().(hash.Hash)
	mac.Reset()
	var buf [160]byte
	text := append(buf[:0], app...)
	text = append(text, 0)
	text = append(text, id...)
	mac.Write(text)
	copy(key[:], mac.Sum(buf[:0]))
	k.macs.Put(mac)
	return key
}

// fingerprint tells one secret from another without giving it away.
func (k *keyring) fingerprint() string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("\x00fingerprint of the secret"))
	return hex.EncodeToString(mac.Sum(nil))
}

func (k *keyring) fits(fingerprint string) bool {
	return subtle.ConstantTimeCompare([]byte(fingerprint), []byte(k.fingerprint())) == 1
}

// A ref is where a key leads.
type ref struct {
	app collector.AppNum
	num collector.Num
}

// An index leads from keys to installations, as far as they are read from the store. It is safe for concurrent use.
type index struct {
	mu   sync.RWMutex
	refs map[collector.Key]ref
	// whole says that all identities of the store are in it. Until then what is dropped is remembered, so that the reading
	// does not bring it back.
	whole   bool
	dropped map[collector.Key]struct{}
}

func newIndex() *index {
	return &index{refs: make(map[collector.Key]ref), dropped: make(map[collector.Key]struct{})}
}

// get finds a key. If it is not found, whole says whether that is final.
func (x *index) get(key collector.Key) (r ref, found, whole bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r, found = x.refs[key]
	return r, found, x.whole
}

func (x *index) put(identities ...collector.Identity) {
	if len(identities) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range identities {
		x.refs[id.Key] = ref{id.App, id.Num}
	}
}

// read puts identities that were read from the store.
func (x *index) read(identities []collector.Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range identities {
		if _, gone := x.dropped[id.Key]; !gone {
			x.refs[id.Key] = ref{id.App, id.Num}
		}
	}
}

func (x *index) drop(keys ...collector.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range keys {
		delete(x.refs, key)
		if !x.whole {
			x.dropped[key] = struct{}{}
		}
	}
}

func (x *index) setWhole() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.whole, x.dropped = true, nil
}

// keysOf gives the keys of some numbers of an app. It looks at all keys.
func (x *index) keysOf(app collector.AppNum, wanted func(collector.Num) bool) []collector.Identity {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var found []collector.Identity
	for key, r := range x.refs {
		if r.app == app && wanted(r.num) {
			found = append(found, collector.Identity{Key: key, App: app, Num: r.num})
		}
	}
	return found
}
