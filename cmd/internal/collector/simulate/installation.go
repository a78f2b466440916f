package simulate

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

type kind uint8

const (
	usual kind = iota
	once
	memory
	late
	clone
	development
	forged
)

type installation struct {
	random *rand.Rand
	kind   kind
	id     string
	born   int

	// What does not change.
	system, release, machine string
	deployment               report.Deployment
	store                    string
	tls                      bool
	users                    int // the bucket; it grows
	weekend                  bool
	diligence                float64 // the probability of a report on a day
	haste                    float64 // the mean of the days until it adopts a release
	frozen                   bool    // it never adopts one
	pre                      bool

	// What changes.
	running int // the current release
	next    int // the release to adopt on the day when, if it is not the current one
	when    int
	away    int // on vacation until this day
	persist int // days until a late one is persisted
	faults  []counted
	twin    *installation
}

// usersBuckets are the values of a fact that grows.
var usersBuckets = []string{"1", "2-9", "10-99", "100-999", ">=1000"}

func newInstallation(f *Fleet, i, day int, random *rand.Rand) *installation {
	in := &installation{random: random, born: day}
	in.kind = f.config.Shares.kind(random.Float64())
	in.id = newID(random)
	in.shape()
	in.choose(f, day)
	switch in.kind {
	case late:
		in.persist = 1 + random.IntN(10)
	case clone:
		twin := *in
		in.twin = &twin
		for twin.stamp() == in.stamp() {
			twin.shape()
		}
	}
	return in
}

func (s *Shares) kind(u float64) kind {
	for _, k := range []struct {
		share float64
		kind  kind
	}{{s.Once, once}, {s.Memory, memory}, {s.Late, late}, {s.Clones, clone}, {s.Development, development}} {
		if u < k.share {
			return k.kind
		}
		u -= k.share
	}
	return usual
}

func newID(random *rand.Rand) string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], random.Uint64())
	binary.LittleEndian.PutUint64(b[8:], random.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

type weighted struct {
	value  string
	weight float64
}

func pick(random *rand.Rand, from ...weighted) string {
	var sum float64
	for _, w := range from {
		sum += w.weight
	}
	u := random.Float64() * sum
	for _, w := range from {
		if u -= w.weight; u < 0 {
			return w.value
		}
	}
	return from[len(from)-1].value
}

// shape chooses the machine and its setup. Larger deployments have more
// users, other stores, and more often TLS.
func (in *installation) shape() {
	r := in.random
	in.deployment = report.Deployment(pick(r, weighted{"container", 55}, weighted{"bare", 20}, weighted{"vm", 12},
		weighted{"kubernetes", 10}, weighted{"unknown", 3}))
	large := in.deployment == report.DeploymentKubernetes
	in.system, in.machine = "linux", pick(r, weighted{"amd64", 80}, weighted{"arm64", 18}, weighted{"arm", 2})
	if in.deployment == report.DeploymentBare {
		in.system = pick(r, weighted{"linux", 70}, weighted{"windows", 18}, weighted{"darwin", 8}, weighted{"freebsd", 4})
	}
	switch in.system {
	case "linux":
		in.release = pick(r, weighted{"5.15", 15}, weighted{"6.1", 25}, weighted{"6.8", 30}, weighted{"6.12", 30})
	case "windows":
		in.release = pick(r, weighted{"10.0.19045", 30}, weighted{"10.0.26100", 70})
	case "darwin":
		in.release = pick(r, weighted{"23.6", 40}, weighted{"24.5", 60})
	default:
		in.release = "14.2"
	}
	in.users = min(len(usersBuckets)-1, int(r.ExpFloat64()*1.2))
	postgres := 15.0
	if large {
		in.users = min(len(usersBuckets)-1, in.users+1+r.IntN(2))
		postgres = 70
	}
	in.store = pick(r, weighted{"sqlite", 100 - postgres - 5}, weighted{"postgres", postgres}, weighted{"mysql", 5})
	in.tls = r.Float64() < 0.35+0.12*float64(in.users)
	in.weekend = r.Float64() < 0.75
	in.diligence = 0.8 + 0.2*math.Sqrt(r.Float64())
	in.haste = math.Exp(r.NormFloat64()*1.1 + 2) // the median is a week
	in.frozen = r.Float64() < 0.05
	in.pre = r.Float64() < 0.03
}

func (in *installation) stamp() string {
	return in.system + in.release + in.machine + string(in.deployment)
}

func (in *installation) choose(f *Fleet, day int) {
	in.running = f.newest(day, in.pre)
	for in.running > 0 && in.random.Float64() < 0.2 {
		in.running = f.before(in.running)
	}
	in.next = in.running
}

// ends reports whether an installation stops for good after a day, which
// is likelier when it is young.
func (in *installation) ends(day int) bool {
	if in.kind == once {
		return true
	}
	age := float64(day - in.born)
	return in.random.Float64() < 0.0015+0.05*math.Exp(-age/4)
}

func (in *installation) reports(f *Fleet, day int) bool {
	if day == in.born {
		return true
	}
	if day < in.away {
		return false
	}
	if in.random.Float64() < 1.0/150 {
		in.away = day + 5 + int(in.random.ExpFloat64()*20) // sometimes longer than the longest window
		return false
	}
	likely := in.diligence
	if f.weekend(day) && !in.weekend {
		likely = 0.1
	}
	return in.random.Float64() < likely
}

// update adopts a release, rolls back, or adds users.
func (in *installation) update(f *Fleet, day int) {
	if in.next != in.running && day >= in.when {
		if in.next > in.running && in.random.Float64() < 0.01 {
			back := in.running // it failed: back, and again in two days
			in.running, in.next, in.when = in.next, back, day+2
			return
		}
		in.running = in.next
	}
	newest := f.newest(day, in.pre)
	if in.next == in.running && newest > in.running && !in.frozen {
		in.next, in.when = newest, day+int(in.random.ExpFloat64()*in.haste)
	}
	if in.random.Float64() < 0.002 && in.users < len(usersBuckets)-1 {
		in.users++
	}
	if in.random.Float64() < 0.0005 {
		in.tls = !in.tls
	}
}

type fault struct {
	key report.FaultKey
	// rate is the probability that it happens on a day.
	rate float64
	// large is the launch that brings it, from 1; 0 is all versions.
	large int
	// system, if not empty, is the only operating system that has it.
	system string
}

var faults = []fault{
	{key: report.FaultKey{Source: "log", Component: "storage", Reason: "disk-full", Stage: "save", Severity: report.SeverityError}, rate: 0.004},
	{key: report.FaultKey{Source: "log", Component: "network", Reason: "timeout", Severity: report.SeverityWarning}, rate: 0.02},
	{key: report.FaultKey{Source: "log", Component: "update", Reason: "bad-signature", Stage: "verify", Severity: report.SeverityCritical}, rate: 0.0005},
	{key: report.FaultKey{Source: "panic", Component: "index", Reason: "out-of-range", Stage: "merge", Severity: report.SeverityCritical}, rate: 0.03, large: 2},
	{key: report.FaultKey{Source: "log", Component: "service", Reason: "not-started", Severity: report.SeverityError}, rate: 0.05, large: 3, system: "windows"},
}

// counted is how often an installation had a fault.
type counted struct {
	fault       int
	count       int
	first, last time.Time
	since       time.Time
}

// has reports whether a release has the faults of the given launch.
func (f *Fleet) has(release int, large int) bool {
	for _, r := range f.releases[:release+1] {
		if r.launch {
			large--
		}
	}
	return large <= 0
}

// health returns the cumulative health report of an installation on a
// day, or nil. The count starts again with the program, about once in
// three weeks. A report without anything new is possible, as in reality.
func (f *Fleet) health(in *installation, at collector.Day) *report.HealthReport {
	r := in.random
	if r.Float64() < 0.05 {
		in.faults = nil
	}
	happened := false
	for i, fl := range faults {
		if fl.system != "" && fl.system != in.system || !f.has(in.running, fl.large) || r.Float64() >= fl.rate {
			continue
		}
		happened = true
		in.happens(i, 1+int(r.ExpFloat64()*3), at)
	}
	if len(in.faults) == 0 || !happened && r.Float64() < 0.5 {
		return nil
	}
	h := &report.HealthReport{
		Schema: report.SchemaVersion, App: f.config.App, InstallationID: in.id, IDPersistence: report.Persisted,
		SentAt: noon(at), Version: f.releases[in.running].version,
	}
	for _, c := range in.faults {
		key := faults[c.fault].key
		h.Faults = append(h.Faults, report.Fault{
			Source: key.Source, Component: key.Component, Reason: key.Reason, Stage: key.Stage, Severity: key.Severity,
			Count: c.count, Since: c.since, First: c.first, Last: c.last,
		})
	}
	return h
}

func (in *installation) happens(fault, times int, at collector.Day) {
	now := at.Time().Add(time.Hour)
	for i := range in.faults {
		if c := &in.faults[i]; c.fault == fault {
			c.count, c.last = c.count+times, now
			return
		}
	}
	in.faults = append(in.faults, counted{fault: fault, count: times, first: now, last: now, since: at.Time()})
}
