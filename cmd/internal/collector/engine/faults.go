package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A faultCount is what one installation reported of one fault. Its record is deleted with the installation.
type faultCount struct {
	Fault string `json:"issue"`
	// Since is when the sender's counting began, and Count how often it happened since.
	Since time.Time `json:"since,omitzero"`
	Count uint64    `json:"count"`
	// Total is how often it happened in all.
	Total uint64 `json:"total"`
	// Last is the day of the last report.
	Last collector.Day `json:"last"`
	// Events stand for the events that are known, the newest last; see [ReceivedHealth.Events].
	Events []string `json:"events,omitempty"`
}

// maxFaults bounds the faults of one installation: those that it reported last are kept. maxKnownEvents bounds the events
// that are remembered of each.
const (
	maxFaults      = 100
	maxKnownEvents = 500
)

// A faultMark says that an installation reported a fault, which happened a number of times more.
type faultMark struct {
	fault string
	num   collector.Num
	more  uint64
}

func faultCountsKey(app collector.AppNum, num collector.Num) collector.RecordKey {
	return collector.RecordKey{Kind: kindFaultCounts, App: app, Name: fmt.Sprintf("%08x", num)}
}

// faultID stands for the codes of a group.
func faultID(key report.FaultKey) string {
	h := sha256.New()
	for _, code := range []string{key.Source, key.Component, key.Reason, key.Stage, string(key.Severity)} {
		fmt.Fprintf(h, "%d:%s,", len(code), code)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// health stages a health report.
func (s *stage) health(ctx context.Context, key collector.Key, r *collector.ReceivedHealth) (collector.Receipt, error) {
	fs, err := s.fleet(r.App)
	if err != nil {
		return collector.Receipt{}, err
	}
	receipt, err := fs.health(ctx, s, key, r)
	if err != nil {
		return collector.Receipt{}, err
	}
	fs.counters.Accepted++
	if receipt.Repeated {
		fs.counters.Repeated++
	}
	fs.dropped(r.Dropped, s.now.Sub(r.Report.SentAt))
	return receipt, nil
}

func (fs *fleetStage) health(ctx context.Context, s *stage, key collector.Key, r *collector.ReceivedHealth) (collector.Receipt, error) {
	h := &r.Report
	if fs.f.app.ExcludeDevelopment && report.IsDevelopment(h.Version) {
		repeated, err := note(fs.excluded, fs.f.excluded, key)
		return collector.Receipt{Repeated: repeated}, err
	}
	found, ok, err := s.find(ctx, key)
	if err != nil {
		return collector.Receipt{}, err
	}
	var receipt collector.Receipt
	switch {
	case !ok && h.IDPersistence == report.InMemory:
		repeated, err := note(fs.memory, fs.f.memory, key)
		return collector.Receipt{Repeated: repeated}, err
	case !ok:
		var ls labels
		if h.Version != "" {
			ls = labels{{collector.DimVersion, h.Version}}
		}
		if err := fs.add(s, key, fs.terms.state(ls), h.Version); err != nil {
			return collector.Receipt{}, err
		}
		found, receipt.New = s.refs[key], true
	}
	faults, err := fs.faultsOf(ctx, s.c, found.num)
	if err != nil {
		return collector.Receipt{}, err
	}
	changed := false
	for i := range h.Faults {
		var events []string
		if i < len(r.Events) {
			events = r.Events[i]
		}
		more, known, ok := fs.group(&faults, &h.Faults[i], h.Version, events, found.num)
		if !ok {
			fs.refused(collector.RefusedFaults)
			continue
		}
		receipt.Counted += int(more)
		receipt.Known += known
		changed = changed || more > 0
	}
	wasActive := fs.mark(found.num)
	receipt.Repeated = wasActive && !changed && !receipt.New
	if changed {
		if len(faults) > maxFaults {
			slices.SortStableFunc(faults, func(a, b faultCount) int { return cmp.Compare(a.Last, b.Last) })
			faults = faults[len(faults)-maxFaults:]
		}
		if fs.counts == nil {
			fs.counts = make(map[collector.Num][]faultCount)
		}
		fs.counts[found.num] = faults
	}
	return receipt, nil
}

func (fs *fleetStage) refused(reason string) {
	if fs.counters.Refused == nil {
		fs.counters.Refused = make(map[string]uint64)
	}
	fs.counters.Refused[reason]++
}

// faultsOf reads what an installation reported.
func (fs *fleetStage) faultsOf(ctx context.Context, c *Engine, num collector.Num) ([]faultCount, error) {
	if faults, ok := fs.counts[num]; ok {
		return slices.Clone(faults), nil
	}
	if num >= fs.f.next {
		return nil, nil
	}
	return c.faultCounts(ctx, fs.f, num)
}

// group stages one group of a report. It tells how often it happened more than is counted already, and how many of its
// events are; ok is false when there are too many faults.
func (fs *fleetStage) group(faults *[]faultCount, g *report.Fault, version string, events []string, num collector.Num) (more uint64, known int, ok bool) {
	id := faultID(g.Key())
	record := fs.fault(id, g)
	if record == nil {
		return 0, 0, false
	}
	i := slices.IndexFunc(*faults, func(f faultCount) bool { return f.Fault == id })
	if i < 0 {
		*faults = append(*faults, faultCount{Fault: id})
		i = len(*faults) - 1
	}
	f := &(*faults)[i]
	f.Events = slices.Clone(f.Events)
	switch {
	case events != nil:
		for _, event := range events {
			if slices.Contains(f.Events, event) {
				known++
				continue
			}
			f.Events = append(f.Events, event)
			more++
		}
		f.Events = f.Events[max(0, len(f.Events)-maxKnownEvents):]
	case f.Since.Equal(g.Since):
		// Counts are cumulative; a report that was overtaken by a later one has nothing new.
		more = uint64(max(0, int64(g.Count)-int64(f.Count)))
		if more == 0 {
			known = 1
		}
		f.Count += more
	case g.Since.Before(f.Since):
		known = 1 // a late report of an earlier counting, which was counted in its time
	default:
		f.Since, f.Count, more = g.Since, uint64(g.Count), uint64(g.Count)
	}
	f.Total += more
	if more == 0 {
		return 0, known, true
	}
	f.Last = fs.f.today
	record.LastSeen = fs.f.today
	if version != "" && (record.OldestVersion == "" || report.CompareVersions(version, record.OldestVersion) < 0) {
		record.OldestVersion = version
	}
	fs.faults[id] = record
	fs.marks = append(fs.marks, faultMark{fault: id, num: num, more: more})
	return more, known, true
}

// fault gives a copy of the fault's record, a new one if need be, or nil when there are too many.
func (fs *fleetStage) fault(id string, g *report.Fault) *faultRecord {
	if fs.faults == nil {
		fs.faults = make(map[string]*faultRecord)
	}
	if record := fs.faults[id]; record != nil {
		return record
	}
	if is := fs.f.faults.byID[id]; is != nil {
		record := is.faultRecord
		return &record
	}
	if len(fs.f.faults.byID)+len(fs.faults) >= collector.MaxFaults {
		return nil
	}
	return &faultRecord{
		ID: id, Source: g.Source, Component: g.Component, Reason: g.Reason, Stage: g.Stage, Severity: string(g.Severity),
		FirstSeen: fs.f.today, LastSeen: fs.f.today,
	}
}
