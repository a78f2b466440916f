package insight_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// steady returns a fleet that changes only by chance: n installations
// that each report on most days from the first on, and some that come and go.
func steady(r *rand.Rand, n, last int) *model {
	m := &model{last: last}
	presence := 0.3 + 0.7*r.Float64()
	weekend := 0.3 + 0.7*r.Float64()
	newcomers := r.Float64() * 0.02 // a day, as a share of the fleet; as many leave
	add := func(from, to int) {
		in := &inst{values: make(map[string][]change), faults: make(map[string]uint64)}
		for day := from; day <= to; day++ {
			likely := presence
			if day%7 >= 5 {
				likely *= weekend
			}
			if day == from || r.Float64() < likely {
				in.days |= 1 << day
			}
		}
		set := func(dimension string, values ...string) {
			in.values[dimension] = []change{{0, values[min(len(values)-1, int(r.ExpFloat64()))]}}
		}
		set(collector.DimVersion, "1.2.1", "1.2.0", "1.1.0", "1.0.0")
		set(collector.DimSystem, "linux", "windows", "darwin")
		set(collector.DimMachine, "amd64", "arm64")
		set(collector.DimDeployment, "container", "bare", "vm")
		set(collector.DimCountry, "DE", "US", "FR", "BR")
		set(collector.FactDimension+"tls", "true", "false")
		set(collector.FactDimension+"users", "1", "2-9", "10-99")
		for i, rate := range []float64{0.02, 0.01, 0.005} {
			for day := range last + 1 {
				if in.days&(1<<day) != 0 && r.Float64() < rate {
					in.faults[fmt.Sprintf("storage: fault-%d", i)] |= 1 << day
				}
			}
		}
		m.all = append(m.all, in)
	}
	for range n {
		end := last
		if newcomers > 0 {
			end = min(last, int(r.ExpFloat64()/newcomers))
		}
		add(0, end)
	}
	for day := 1; day <= last; day++ {
		for range poisson(r, newcomers*float64(n)) {
			add(day, min(last, day+int(r.ExpFloat64()/max(newcomers, 1e-3))))
		}
	}
	return m
}

func poisson(r *rand.Rand, mean float64) (n int) {
	for p := r.Float64(); p > math.Exp(-mean); p *= r.Float64() {
		n++
	}
	return n
}

func sentences(t *testing.T, c insight.Source, app collector.App, to int, alerts ...insight.Finding) (all []string) {
	t.Helper()
	r, err := insight.Compute(t.Context(), c, app, first+collector.Day(to), alerts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		all = append(all, f.Sentence())
	}
	return all
}

// TestQuiet measures how often a fleet that does not change has a finding.
func TestQuiet(t *testing.T) {
	t.Parallel()
	const fleets = 1000
	wrong := make(map[string]int)
	loud := 0
	for seed := range uint64(fleets) {
		r := rand.New(rand.NewPCG(seed, 1))
		last := 50 + r.IntN(7)
		m := steady(r, int(math.Exp(r.Float64()*math.Log(60))*10), last) // 10 to 600
		found := sentences(t, source{m}, collector.App{}, last-1)
		if len(found) > 0 {
			loud++
		}
		for _, sentence := range found {
			wrong[strings.Join(strings.Fields(sentence)[:3], " ")]++
			t.Logf("fleet %d of %d: %s", seed, len(m.all), sentence)
		}
	}
	t.Logf("%d of %d quiet fleets have a finding (%.1f %%): %v", loud, fleets, 100*float64(loud)/fleets, wrong)
	if loud > fleets/100 {
		t.Errorf("%d of %d quiet fleets have a finding, want at most 1 %%", loud, fleets)
	}
}

// What is changed in a quiet fleet is found, by the engine too, and it is all that
// is found.
func TestChanges(t *testing.T) {
	t.Parallel()
	const last, n = 56, 400 // the last day is a Monday
	set := func(in *inst, dimension string, day int, value string) {
		in.values[dimension] = append(in.values[dimension], change{day, value})
	}
	monday := last - 7 // the first day of the week that is compared, whose last day is before the last
	for name, tt := range map[string]struct {
		change func(r *rand.Rand, i int, in *inst)
		want   []string // what the sentences begin with
	}{
		"nothing": {func(*rand.Rand, int, *inst) {}, nil},
		"a release is adopted": {func(r *rand.Rand, i int, in *inst) {
			switch {
			case i%10 == 0:
				set(in, collector.DimVersion, 30, "1.2.2")
			case i%10 < 7:
				set(in, collector.DimVersion, monday+i%5, "1.2.2")
			}
		}, []string{"1.2.2 reached "}},
		"a release is new": {func(_ *rand.Rand, i int, in *inst) {
			if i%10 == 0 {
				set(in, collector.DimVersion, monday+2, "1.2.2")
			}
		}, []string{"1.2.2 was first seen on 25 February and has reached "}},
		"a fault rises in a release": {func(r *rand.Rand, i int, in *inst) {
			if in.at(collector.DimVersion, last) != "1.2.1" {
				return
			}
			for day := monday; day < last; day++ {
				if in.days&(1<<day) != 0 && r.Float64() < 0.08 {
					in.faults["storage: fault-0"] |= 1 << day
				}
			}
		}, []string{"storage: fault-0 rose by 374% in 1.2.1"}},
		"a fault rises in all": {func(r *rand.Rand, i int, in *inst) {
			for day := monday; day < last; day++ {
				if in.days&(1<<day) != 0 && r.Float64() < 0.08 {
					in.faults["storage: fault-2"] |= 1 << day
				}
			}
		}, []string{"storage: fault-2 rose 29-fold"}},
		"a fault is new": {func(r *rand.Rand, i int, in *inst) {
			if i%20 == 0 {
				in.faults["storage: disk-full"] = in.days & (1<<(monday+1) | 1<<(monday+2))
			}
		}, []string{"storage: disk-full is a new fault: it affects "}},
		"a fault is gone": {func(_ *rand.Rand, i int, in *inst) {
			if i%5 == 0 {
				in.faults["storage: fault-0"] = in.days
			}
			in.faults["storage: fault-0"] &= window(0, monday-1)
		}, []string{"storage: fault-0 was not reported any more"}},
		"arm64 goes silent": {func(_ *rand.Rand, _ int, in *inst) {
			if in.at(collector.DimMachine, last) == "arm64" {
				in.days &= window(0, last-3)
			}
		}, []string{"Reports from arm64 stopped on 28 February"}},
		"all go silent": {func(_ *rand.Rand, _ int, in *inst) { in.days &= window(0, last-4) }, []string{"Reports stopped on 27 February"}},
		"a new country": {func(_ *rand.Rand, i int, in *inst) {
			if i < 12 {
				set(in, collector.DimCountry, monday, "JP")
			}
		}, []string{"First reports from country JP: "}},
		"a setting": {func(_ *rand.Rand, i int, in *inst) {
			if i%2 == 0 {
				set(in, "fact.tls", monday, "false")
			}
		}, []string{"tls = "}},
		"half of them leave": {func(_ *rand.Rand, i int, in *inst) {
			if i%2 == 0 {
				in.days &= window(0, monday-1)
			}
		}, []string{"Active installations fell by "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, 9))
			m := steady(r, n, last)
			for i, in := range m.all {
				tt.change(r, i, in)
			}
			m.all = slices.DeleteFunc(m.all, func(in *inst) bool { return in.days == 0 })
			for i, in := range m.all {
				for reason := range in.faults {
					m.all[i].faults[reason] &= in.days
				}
			}
			e, app := m.load(t)
			got := sentences(t, e, app, last-1)
			if model := sentences(t, source{m}, app, last-1); !slices.Equal(got, model) {
				t.Errorf("the engine finds\n%s\nand the model\n%s", strings.Join(got, "\n"), strings.Join(model, "\n"))
			}
			ok := len(got) == len(tt.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(got[i], tt.want[i])
			}
			if !ok {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for _, sentence := range got {
				t.Log(sentence)
			}
			alert := insight.Finding{Kind: insight.Firing, Text: "no report was counted for 30 h\x00"}
			if with := sentences(t, e, app, last-1, alert); len(with) != len(got)+1 || with[0] != "Alert: no report was counted for 30 h\ufffd" {
				t.Errorf("with an alert: got %q", with)
			}
		})
	}
}
