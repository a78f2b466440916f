package simulate

import (
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A Truth is what is true of the installations that sent some reports.
// The definitions are those of package collector, the computation is the
// most direct one. It takes about a kilobyte per installation. It is not
// safe for concurrent use.
type Truth struct {
	excludeDevelopment bool
	last               collector.Day
	people             map[string]*person
	memory, excluded   map[collector.Day]map[string]bool
	moves              map[collector.Day]map[Move]uint64
	faults             map[report.FaultKey]*affliction
}

// A Move is a change of version.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// A person is one ID that counts as an installation.
type person struct {
	days   []collector.Day // on which it was seen, each once, in order
	states []past
	first  string // version
	counts map[report.FaultKey]cumulative
	// before is the values before the current ones. turns is how often
	// they came back, each time within cloneDays of the previous time,
	// which was on the day turned.
	before map[string]string
	turns  int
	turned collector.Day
	clone  bool
}

// An ID that returns to its previous values cloneTurns times, each time
// within cloneDays, is used by more than one machine, if these values
// differ in more than facts.
const (
	cloneTurns = 3
	cloneDays  = 28
)

// A past state is the values from the end of a day on.
type past struct {
	day    collector.Day
	values map[string]string
}

type cumulative struct {
	since time.Time
	count int
}

// An affliction is who had a fault on which days, and how often.
type affliction struct {
	affected    map[collector.Day]map[string]bool
	occurrences map[collector.Day]uint64
}

// Truth computes what is true of all reports of the fleet.
func (f *Fleet) Truth() *Truth {
	t := NewTruth(f.config.ExcludeDevelopment)
	for day, visit := range f.Visits() {
		for _, sent := range visit {
			t.Add(day, sent)
		}
	}
	t.last = f.config.Last
	return t
}

// NewTruth returns a truth without reports.
func NewTruth(excludeDevelopment bool) *Truth {
	return &Truth{
		excludeDevelopment: excludeDevelopment,
		people:             make(map[string]*person),
		memory:             make(map[collector.Day]map[string]bool),
		excluded:           make(map[collector.Day]map[string]bool),
		moves:              make(map[collector.Day]map[Move]uint64),
		faults:             make(map[report.FaultKey]*affliction),
	}
}

// Members returns what is true of the installations that match, as a segment sees
// it: all days have the values that they have now, and there are no moves and no
// occurrences of faults. Match is told the values, by dimension, and the day of
// first sight.
func (t *Truth) Members(match func(value func(dimension string) string, first collector.Day) bool) *Truth {
	m := NewTruth(t.excludeDevelopment)
	m.last = t.last
	for id, p := range t.people {
		if !match(func(dimension string) string { return p.value(dimension, t.last) }, p.days[0]) {
			continue
		}
		member := *p
		member.states = []past{{p.days[0], p.at(t.last)}}
		m.people[id] = &member
	}
	for key, a := range t.faults {
		for day, ids := range a.affected {
			for id := range ids {
				if m.people[id] == nil {
					continue
				}
				if m.faults[key] == nil {
					m.faults[key] = &affliction{affected: make(map[collector.Day]map[string]bool)}
				}
				put(m.faults[key].affected, day, id)
			}
		}
	}
	return m
}

// Add adds a report that was accepted on a day. Days do not decrease.
func (t *Truth) Add(day collector.Day, sent Sent) {
	t.last = max(t.last, day)
	if sent.Heartbeat != nil {
		t.heartbeat(day, sent.Heartbeat)
	}
	if sent.Health != nil {
		t.health(day, sent.Health)
	}
}

func (t *Truth) heartbeat(day collector.Day, h *report.Heartbeat) {
	p := t.seen(day, h.InstallationID, h.Version, h.IDPersistence)
	if p == nil {
		return
	}
	if from, to := p.at(day)[collector.DimVersion], h.Version; from != to && from != "" && to != "" {
		if t.moves[day] == nil {
			t.moves[day] = make(map[Move]uint64)
		}
		t.moves[day][Move{from, to}]++
	}
	p.become(day, Values(h))
}

// seen records that an ID was seen. It returns nil if the ID does not
// count as an installation.
func (t *Truth) seen(day collector.Day, id, version string, persistence report.Persistence) *person {
	p := t.people[id]
	switch {
	case t.excludeDevelopment && report.IsDevelopment(version):
		put(t.excluded, day, id)
		return nil
	case p == nil && persistence == report.InMemory:
		put(t.memory, day, id)
		return nil
	case p == nil:
		p = &person{first: version}
		t.people[id] = p
	}
	if len(p.days) == 0 || p.days[len(p.days)-1] != day {
		p.days = append(p.days, day)
	}
	return p
}

func put(sets map[collector.Day]map[string]bool, day collector.Day, id string) {
	if sets[day] == nil {
		sets[day] = make(map[string]bool)
	}
	sets[day][id] = true
}

// Values returns the values that a heartbeat reports, by dimension.
func Values(h *report.Heartbeat) map[string]string {
	values := map[string]string{
		collector.DimVersion: h.Version, collector.DimSystem: h.Platform.System, collector.DimRelease: h.Platform.Release,
		collector.DimMachine: h.Platform.Machine, collector.DimClient: h.Client.Name + " " + h.Client.Version,
	}
	if h.Deployment != report.DeploymentUnknown {
		values[collector.DimDeployment] = string(h.Deployment)
	}
	for _, fact := range h.Facts {
		values[collector.FactDimension+fact.Name] = fact.Value
	}
	return values
}

// at returns the values at the end of a day, as known so far.
func (p *person) at(day collector.Day) map[string]string {
	for _, state := range slices.Backward(p.states) {
		if state.day <= day {
			return state.values
		}
	}
	return nil
}

func (p *person) become(day collector.Day, values map[string]string) {
	if n := len(p.states); n > 0 {
		now := p.states[n-1].values
		if maps.Equal(now, values) {
			return
		}
		if maps.Equal(p.before, values) && !sameBuild(now, values) {
			if day-p.turned > cloneDays {
				p.turns = 0
			}
			p.turns, p.turned = p.turns+1, day
			p.clone = p.clone || p.turns == cloneTurns
		}
		p.before = now
		if p.states[n-1].day == day {
			p.states = p.states[:n-1]
		}
	}
	p.states = append(p.states, past{day, values})
}

func sameBuild(a, b map[string]string) bool {
	for _, name := range []string{collector.DimVersion, collector.DimSystem, collector.DimMachine, collector.DimDeployment} {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

func (t *Truth) health(day collector.Day, h *report.HealthReport) {
	p := t.seen(day, h.InstallationID, h.Version, h.IDPersistence)
	if p == nil {
		return
	}
	if len(p.states) == 0 {
		p.become(day, map[string]string{collector.DimVersion: h.Version})
	}
	if p.counts == nil {
		p.counts = make(map[report.FaultKey]cumulative)
	}
	for i := range h.Faults {
		g := &h.Faults[i]
		known, more := p.counts[g.Key()], 0
		switch {
		case g.Since.After(known.since):
			more = g.Count
		case g.Since.Equal(known.since):
			more = g.Count - known.count
		}
		if more <= 0 {
			continue
		}
		p.counts[g.Key()] = cumulative{g.Since, g.Count}
		fault := t.faults[g.Key()]
		if fault == nil {
			fault = &affliction{make(map[collector.Day]map[string]bool), make(map[collector.Day]uint64)}
			t.faults[g.Key()] = fault
		}
		put(fault.affected, day, h.InstallationID)
		fault.occurrences[day] += uint64(more)
	}
}
