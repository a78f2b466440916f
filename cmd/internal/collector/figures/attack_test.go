package figures_test

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// An attacker wants to know which system the victim has, of an installation whose
// version nobody else runs. They may send 1,000 forged reports over 30 days and
// read every public answer of these days; besides, they know the exact totals of
// systems, and how attacks on many other fleets ended. Installations come and go,
// and the victim does too: whoever sees a version and a system appear together
// learns more than from any one day.

const (
	acme         = "1.1.0-acme"
	attackDays   = 30
	forgedBudget = 1000
)

// An installation reports its values on the days from until to, with pauses.
type installation struct {
	version, system string
	from, to        int
	days            [4 * collector.PublicDays]bool
}

// A fleet is what a trial is about. Its first installation is the victim. Day 0
// is the first of a window.
type fleet struct {
	systems []string
	all     []installation
	forged  []installation
	began   int // the first day of the attack
}

func newFleet(r *rand.Rand, strategy int, comes bool) fleet {
	f := fleet{systems: []string{"linux", "windows", "darwin", "freebsd"}[:2+r.IntN(3)], began: collector.PublicDays + r.IntN(collector.PublicDays)}
	weights := make([]float64, len(f.systems))
	for i := range weights {
		weights[i] = r.ExpFloat64()
	}
	draw := func() string {
		at := r.Float64() * sum(weights)
		for i, w := range weights {
			if at -= w; at < 0 {
				return f.systems[i]
			}
		}
		return f.systems[0]
	}
	for n := range 13 + r.IntN(38) {
		x := installation{version: []string{"1.0", "1.1", "1.2"}[r.IntN(3)], system: draw(), from: -1, to: math.MaxInt}
		if n == 0 {
			x.version = acme
		}
		if r.IntN(5) == 0 { // about a fifth comes or goes in these four months
			x.from = r.IntN(len(x.days))
		}
		if r.IntN(5) == 0 {
			x.to = max(x.from, 0) + r.IntN(len(x.days))
		}
		if n == 0 && comes { // in the window whose figures come out during the attack
			x.from, x.to = f.began/collector.PublicDays*collector.PublicDays+r.IntN(collector.PublicDays-4), math.MaxInt
		}
		for day := range x.days {
			x.days[day] = day >= x.from && day < x.to && r.IntN(10) > 0
		}
		f.all = append(f.all, x)
	}
	f.forge(r, strategy)
	return f
}

// forge adds the installations that the attacker makes up: each reports on two
// days, in one of the windows that end during the attack.
func (f *fleet) forge(r *rand.Rand, strategy int) {
	for i := range forgedBudget / 2 {
		x := installation{version: acme, system: f.systems[i%len(f.systems)]}
		switch strategy {
		case 0: // k-1 of each guess, with the victim's version
			if i >= len(f.systems)*(collector.DefaultK-1) {
				return
			}
		case 1: // enough of each that nothing is hidden
			x.version = "9.9"
			if i >= len(f.systems)*collector.DefaultK {
				return
			}
		case 2: // some
			x.version = []string{acme, "9.9"}[r.IntN(2)]
			if i >= 50 || r.IntN(10) == 0 {
				return
			}
		case 3: // all that the budget allows
		}
		day := f.began // in the window whose figures come out during the attack
		if strategy >= 2 {
			day += r.IntN(attackDays - 1)
		}
		x.days[day], x.days[day+1] = true, true
		f.forged = append(f.forged, x)
	}
}

// counts returns the established installations by version and by system in the
// window that ends with a day, and by pairs of both.
func counts(all []installation, end int) (versions, systems, pairs map[string]uint64) {
	versions, systems, pairs = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
	for _, x := range all {
		seen, active := 0, false
		for day := range end + 1 {
			if x.days[day] {
				seen, active = seen+1, active || day > end-collector.PublicDays
			}
		}
		if seen >= 2 && active {
			versions[x.version]++
			systems[x.system]++
			pairs[x.version+" "+x.system]++
		}
	}
	return versions, systems, pairs
}

// What the attacker reads.
const (
	readPublic = iota
	readExact  // totals of each window: a control
	readPairs  // the table of two dimensions: a control
)

// A trial is what the attacker knows of each system, and which the victim has.
type trial struct {
	features []string
	exact    []uint64
	victim   int
}

func newTrial(r *rand.Rand, strategy, read int, comes bool) trial {
	f := newFleet(r, strategy, comes)
	secret := r.Uint64()
	s := figures.PublicView(collector.App{}).Suppressor(func(cell string) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", secret, cell)
		return rand.New(rand.NewPCG(h.Sum64(), secret)).Uint64()
	})
	// What the figures that are public during the attack leave for the others, once
	// the forged ones are taken away.
	var versions, systems, both []map[string]int
	for end := collector.PublicDays - 1; end < min(f.began+attackDays, len(f.all[0].days)); end += collector.PublicDays {
		if end+collector.PublicDays < f.began {
			continue
		}
		window := fmt.Sprint(end)
		version, system, pairs := counts(slices.Concat(f.all, f.forged), end)
		if read == readPublic {
			version, system = s.RoundValues(window+"version", version), s.RoundValues(window+"system", system)
		}
		for pair, n := range pairs {
			pairs[pair] = s.Round(window+pair, n)
		}
		ownVersion, ownSystem, ownPairs := counts(f.forged, end)
		versions, systems = append(versions, minus(version, ownVersion)), append(systems, minus(system, ownSystem))
		both = append(both, minus(pairs, ownPairs))
	}
	t := trial{victim: slices.Index(f.systems, f.all[0].system)}
	for _, system := range f.systems {
		var n uint64
		for _, x := range f.all {
			if x.system == system {
				n++
			}
		}
		t.exact = append(t.exact, n)
	}
	for i, system := range f.systems {
		var feature strings.Builder
		feature.WriteString(fmt.Sprint(10 * t.exact[i] / total(t.exact)))
		for w := range systems {
			if read == readPairs {
				feature.WriteString(fmt.Sprint(" pair ", both[w][acme+" "+system]))
			}
			if w > 0 { // it came or went with the victim's version
				came := cmp.Compare(versions[w][acme], versions[w-1][acme])
				feature.WriteString(fmt.Sprint(" change ", came, came*cmp.Compare(systems[w][system], systems[w-1][system])))
			}
		}
		t.features = append(t.features, feature.String())
	}
	return t
}

// minus takes counts away from others.
func minus(counts, own map[string]uint64) map[string]int {
	left := make(map[string]int)
	for text, n := range counts {
		left[text] = int(n)
	}
	for text, n := range own {
		left[text] -= int(n)
	}
	return left
}

// best is the best guess from the exact totals.
func (t trial) best() int {
	best := 0
	for i, n := range t.exact {
		if n > t.exact[best] {
			best = i
		}
	}
	return best
}

// learn returns the guess of an attacker who has seen how other attacks ended: the
// system that was the victim's most often where the same was seen of it.
func learn(past []trial) func(trial) int {
	type tally struct{ hits, seen float64 }
	tallies := make(map[string]tally)
	for _, t := range past {
		for i, feature := range t.features {
			c := tallies[feature]
			if c.seen++; i == t.victim {
				c.hits++
			}
			tallies[feature] = c
		}
	}
	return func(t trial) int {
		score := func(i int) float64 { // what is rare counts like the total
			c, prior := tallies[t.features[i]], float64(t.exact[i])/float64(total(t.exact))
			return (c.hits + 20*prior) / (c.seen + 20)
		}
		guess := t.best()
		for i := range t.features {
			if score(i) > score(guess) {
				guess = i
			}
		}
		return guess
	}
}

func sum(values []float64) (s float64) {
	for _, v := range values {
		s += v
	}
	return s
}

func total(values []uint64) (s uint64) {
	for _, v := range values {
		s += v
	}
	return s
}

// advantage returns how much oftener an attacker is right than who guesses from
// the exact totals, and the standard deviation of that.
func advantage(n, strategy, read int, comes bool) (mean, deviation float64) {
	r := rand.New(rand.NewPCG(uint64(strategy), uint64(read)))
	past, present := make([]trial, n), make([]trial, n)
	for i := range past {
		past[i], present[i] = newTrial(r, strategy, read, comes), newTrial(r, strategy, read, comes)
	}
	guess := learn(past)
	var differ float64
	for _, t := range present {
		attack, base := guess(t) == t.victim, t.best() == t.victim
		switch {
		case attack && !base:
			mean++
			differ++
		case base && !attack:
			mean--
			differ++
		}
	}
	return mean / float64(n), math.Sqrt(differ) / float64(n)
}

// S12: in 20,000 trials of each way of forging, who reads all public answers is
// right at most 1 % oftener than who knows the exact totals of one dimension. The
// same attacker succeeds with exact figures of a victim that comes during the
// attack, and with the table of two dimensions.
func TestForgersAdvantage(t *testing.T) {
	t.Parallel()
	trials := 1500
	if os.Getenv("ROLLCALL_SOAK") != "" {
		trials = 20_000
	}
	for strategy := range 4 {
		got, deviation := advantage(trials, strategy, readPublic, false)
		t.Logf("way %d: %+.2f %% ± %.2f %% in %d trials", strategy, 100*got, 100*deviation, trials)
		limit := 0.01
		if trials < 20_000 {
			limit += 3 * deviation
		}
		if got > limit {
			t.Errorf("way %d: the attacker is right %.2f %% oftener, want at most %.2f %%", strategy, 100*got, 100*limit)
		}
	}
	got, deviation := advantage(trials, 0, readPublic, true)
	t.Logf("if the victim comes during the attack: %+.2f %% ± %.2f %%", 100*got, 100*deviation)
	if limit := 0.01 + 3*deviation; got > limit {
		t.Errorf("if the victim comes during the attack, the attacker is right %.2f %% oftener, want at most %.2f %%", 100*got, 100*limit)
	}
	for name, read := range map[string]int{"exact figures": readExact, "the table of two dimensions": readPairs} {
		got, _ := advantage(trials, 0, read, true)
		t.Logf("with %s: %+.2f %%", name, 100*got)
		if got < 0.03 {
			t.Errorf("with %s the attacker is right only %.2f %% oftener: the attack is too weak", name, 100*got)
		}
	}
}
