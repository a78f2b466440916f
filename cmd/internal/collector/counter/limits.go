package counter

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// Limits bound what one sender may send. They apply to address prefixes: the
// address itself for IPv4, its /64 for IPv6. 0 is the default of a field; -1
// removes the limit.
type Limits struct {
	// PerPrefix is the number of reports per minute from an address prefix. The
	// default is 600.
	PerPrefix int
	// NewPerPrefix is the number of these per hour from unknown installations.
	// The default is 60.
	NewPerPrefix int
	// KnownPerPrefix is a further number of reports per minute from known
	// installations, after PerPrefix is exhausted. The default is 600.
	KnownPerPrefix int
	// PerInstallation is the number of reports per hour from one installation.
	// The default is 30.
	PerInstallation int
	// Keys is how many prefixes and installations the limits remember, in 16
	// bytes each. More of them loosen the limits. The default is 1,000,000.
	Keys int
}

// The defaults of [Limits].
const (
	DefaultPerPrefix       = 600
	DefaultNewPerPrefix    = 60
	DefaultKnownPerPrefix  = 600
	DefaultPerInstallation = 30
	DefaultLimitKeys       = 1_000_000
)

// The limits of an address prefix for requests about an installation: a burst,
// and then one request per interval.
const (
	lookupBurst    = 20
	lookupInterval = 10 * time.Second
	// limitedKeys is how many prefixes and installations these and the next limits
	// remember.
	limitedKeys = 64 << 10
)

// The limits of reports in the YA-WAMF format, which are those of its worker, for
// an address prefix and for an installation: the burst, and the refill per minute.
const (
	LegacyHeartbeatsPerMinute = 6
	LegacyHealthPerMinute     = 1
)

// A limiter enforces the limits. A nil table is no limit.
type limiter struct {
	prefixes, newcomers, known, installations *limit.Table
	legacyHeartbeats, legacyHealth            *limit.Table
	lookups                                   *limit.Table
}

func newLimiter(l Limits) (limiter limiter, err error) {
	check := func(name string, n int) {
		if n < -1 || n > 1<<30 {
			err = cmp.Or(err, fmt.Errorf("counter: Limits.%s is %d, not -1 to %d", name, n, 1<<30))
		}
	}
	keys := cmp.Or(max(l.Keys, 0), DefaultLimitKeys)
	table := func(name string, n, fallback int, per time.Duration) *limit.Table {
		check(name, n)
		if n = cmp.Or(n, fallback); n < 0 || err != nil {
			return nil
		}
		return limit.New(keys/4, per/time.Duration(n), n)
	}
	check("Keys", l.Keys)
	limiter.prefixes = table("PerPrefix", l.PerPrefix, DefaultPerPrefix, time.Minute)
	limiter.newcomers = table("NewPerPrefix", l.NewPerPrefix, DefaultNewPerPrefix, time.Hour)
	limiter.known = table("KnownPerPrefix", l.KnownPerPrefix, DefaultKnownPerPrefix, time.Minute)
	limiter.installations = table("PerInstallation", l.PerInstallation, DefaultPerInstallation, time.Hour)
	perMinute := func(n int) *limit.Table { return limit.New(limitedKeys, time.Minute/time.Duration(n), n) }
	limiter.legacyHeartbeats, limiter.legacyHealth = perMinute(LegacyHeartbeatsPerMinute), perMinute(LegacyHealthPerMinute)
	limiter.lookups = limit.New(limitedKeys, lookupInterval, lookupBurst)
	return limiter, err
}

func take(t *limit.Table, key limit.Key) (wait time.Duration, ok bool) {
	if t == nil {
		return 0, true
	}
	return t.Take(key)
}

// keyOf returns what stands for an installation in the tables.
func keyOf(key collector.Key) limit.Key { return limit.Key(binary.BigEndian.Uint64(key[:])) }

// take counts a report of an installation from an address prefix. It returns an
// error if the report exceeds a limit.
func (l *limiter) take(prefix limit.Key, key collector.Key, known bool) *collector.LimitError {
	if known {
		if wait, ok := take(l.installations, keyOf(key)); !ok {
			return &collector.LimitError{Reason: collector.RefusedRate, Wait: wait}
		}
	} else if wait, ok := take(l.newcomers, prefix); !ok {
		return &collector.LimitError{Reason: collector.RefusedNew, Wait: wait}
	}
	wait, ok := take(l.prefixes, prefix)
	if !ok && known {
		wait, ok = take(l.known, prefix)
	}
	if !ok {
		return &collector.LimitError{Reason: collector.RefusedRate, Wait: wait}
	}
	return nil
}

// takeLegacy counts a report in the YA-WAMF format. Without a limit for prefixes
// or installations, this format has none for them either.
func (l *limiter) takeLegacy(prefix limit.Key, key collector.Key, health bool) error {
	table := l.legacyHeartbeats
	if health {
		table = l.legacyHealth
	}
	if l.prefixes != nil {
		if wait, ok := table.Take(prefix); !ok {
			return &collector.LimitError{Reason: collector.RefusedRate, Wait: wait}
		}
	}
	if l.installations != nil {
		if wait, ok := table.Take(keyOf(key)); !ok {
			return &collector.LimitError{Reason: collector.RefusedRate, Wait: wait}
		}
	}
	return nil
}
