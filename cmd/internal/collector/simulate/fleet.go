package simulate

import (
	"iter"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A Fleet is the installations of one app and what they report. It is
// immutable and safe for concurrent use.
type Fleet struct {
	config   Config
	first    collector.Day
	releases []release
	births   births
	// The newest release of each day; newestPre includes pre-releases.
	newestOf, newestPre []int
}

// New returns a fleet, without computing its reports. The error says what
// is wrong with the configuration.
func New(config Config) (*Fleet, error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	f := &Fleet{config: c, first: c.Last - collector.Day(c.Days) + 1, releases: newReleases(c.Days)}
	f.births = newBirths(c.Days, f.releases)
	for day := range c.Days {
		stable, pre := 0, 0
		for i, r := range f.releases {
			if i > 0 && r.day > day {
				break
			}
			pre = i
			if !r.pre {
				stable = i
			}
		}
		f.newestOf, f.newestPre = append(f.newestOf, stable), append(f.newestPre, pre)
	}
	return f, nil
}

// Config returns the configuration with all defaults filled in.
func (f *Fleet) Config() Config { return f.config }

// Last returns the last day.
func (f *Fleet) Last() collector.Day { return f.config.Last }

// Range returns all days of the fleet.
func (f *Fleet) Range() collector.Range { return collector.Range{From: f.first, To: f.config.Last} }

func (f *Fleet) newest(day int, pre bool) int {
	if pre {
		return f.newestPre[day]
	}
	return f.newestOf[day]
}

// before returns the stable release before the given one, or the first.
func (f *Fleet) before(release int) int {
	for release--; release > 0 && f.releases[release].pre; release-- {
	}
	return max(release, 0)
}

func (f *Fleet) weekend(day int) bool {
	weekday := (f.first + collector.Day(day)).Time().Weekday()
	return weekday == time.Saturday || weekday == time.Sunday
}

// A Sent is a heartbeat or a health report; the other is nil.
type Sent struct {
	Heartbeat *report.Heartbeat
	Health    *report.HealthReport
}

// A Visit is what one installation sends on a day, in order.
type Visit []Sent

// Visits returns all visits by day. The caller may change them.
func (f *Fleet) Visits() iter.Seq2[collector.Day, Visit] {
	return func(yield func(collector.Day, Visit) bool) {
		born := f.born()
		var alive []*installation
		for day := range f.config.Days {
			for _, i := range born[day] {
				random := stream(f.config.Seed, streamInstallation, int(i))
				random.Float64() // for the day of birth, in born
				alive = append(alive, newInstallation(f, int(i), day, random))
			}
			kept := alive[:0]
			for _, in := range alive {
				in.update(f, day)
				if in.reports(f, day) && !yield(f.first+collector.Day(day), f.visit(in, day)) {
					return
				}
				if !in.ends(day) {
					kept = append(kept, in)
				}
			}
			clear(alive[len(kept):])
			alive = kept
			for i := range f.forgedOn(day) {
				if !yield(f.first+collector.Day(day), f.forge(i, day)) {
					return
				}
			}
		}
	}
}

func (f *Fleet) born() [][]int32 {
	born := make([][]int32, f.config.Days)
	for i := range f.config.Installations {
		day := f.births.day(stream(f.config.Seed, streamInstallation, i).Float64())
		born[day] = append(born[day], int32(i))
	}
	return born
}

func (f *Fleet) visit(in *installation, day int) Visit {
	at := f.first + collector.Day(day)
	if in.kind == memory && in.random.Float64() < 0.3 {
		in.id = newID(in.random) // it was restarted
	}
	heartbeat := f.heartbeat(in, at)
	visit := Visit{{Heartbeat: heartbeat}}
	switch in.kind {
	case memory:
		heartbeat.IDPersistence = report.InMemory
	case late:
		if day < in.born+in.persist {
			heartbeat.IDPersistence = report.InMemory
		}
	case clone:
		in.twin.running, in.twin.users = in.running, in.users
		visit = append(visit, Sent{Heartbeat: f.heartbeat(in.twin, at)})
	case usual:
		if health := f.health(in, at); health != nil {
			visit = append(visit, Sent{Health: health})
		}
		if in.random.Float64() < 0.03 {
			visit = append(visit, Sent{Heartbeat: heartbeat}) // sent again because the answer was lost
		}
	}
	return visit
}

func (f *Fleet) heartbeat(in *installation, at collector.Day) *report.Heartbeat {
	h := &report.Heartbeat{
		Schema: report.SchemaVersion, App: f.config.App, InstallationID: in.id, IDPersistence: report.Persisted,
		SentAt: noon(at), Version: f.releases[in.running].version,
		Platform:   report.Platform{System: in.system, Release: in.release, Machine: in.machine},
		Deployment: in.deployment,
		Client:     report.Client{Name: "rollcall-go", Version: "0.1.0"},
		Facts: report.Facts{
			{Name: "store.kind", Value: in.store}, {Name: "tls", Value: "false"}, {Name: "users", Value: usersBuckets[in.users]},
		},
	}
	if in.tls {
		h.Facts[1].Value = "true"
	}
	if in.kind == development {
		h.Version += "-dev"
	}
	return h
}

// noon is when all reports of a day are made, so that no clock is wrong.
func noon(day collector.Day) time.Time { return day.Time().Add(12 * time.Hour) }

// forgedOn returns the numbers of the IDs that are made up on a day,
// evenly over the last quarter of the days.
func (f *Fleet) forgedOn(day int) iter.Seq[int] {
	from := f.config.Days - (f.config.Days+3)/4
	n := f.config.Days - from
	return func(yield func(int) bool) {
		for i := day - from; day >= from && i < f.config.Forged; i += n {
			if !yield(i) {
				return
			}
		}
	}
}

func (f *Fleet) forge(i, day int) Visit {
	random := stream(f.config.Seed, streamForged, i)
	in := &installation{random: random, kind: forged, id: newID(random), born: day}
	in.shape()
	in.running = random.IntN(f.newest(day, true) + 1)
	return Visit{{Heartbeat: f.heartbeat(in, f.first+collector.Day(day))}}
}

// The purposes of the random streams of one fleet.
const (
	streamInstallation = iota
	streamForged
)

// stream returns the random numbers of the i-th item of a kind. They
// depend on nothing else but the seed.
func stream(seed uint64, kind, i int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, mix(uint64(kind)<<56^uint64(i))))
}

// mix is the finaliser of SplitMix64: close numbers become distant.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// births holds, for each day, the share of all births up to its end.
type births []float64

// launchDays is how long a launch brings more installations. In all it
// brings as many as launchDays usual days.
const launchDays = 5

// newBirths makes growth logistic: fast in the middle.
func newBirths(days int, releases []release) births {
	weights := make([]float64, days)
	for day := range weights {
		x := 8 * (float64(day)/float64(days) - 0.5)
		weights[day] = 0.15 + 4*math.Exp(-x)/math.Pow(1+math.Exp(-x), 2)
	}
	for _, r := range releases {
		for after := range launchDays {
			if day := r.day + after; r.launch && day >= 0 && day < days {
				weights[day] *= 1 + float64(launchDays-after)/2
			}
		}
	}
	var sum float64
	for day, w := range weights {
		sum += w
		weights[day] = sum
	}
	for day := range weights {
		weights[day] /= sum
	}
	return weights
}

// day returns the day of birth for a number from 0 to 1.
func (b births) day(u float64) int { return min(sort.SearchFloat64s(b, u), len(b)-1) }
