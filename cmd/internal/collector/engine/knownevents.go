package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An eventID identifies an event of an installation: a report of the YA-WAMF wire
// format, or an occurrence in one.
type eventID [8]byte

// eventIDOf returns the ID that a text stands for: 16 hexadecimal digits, or any
// other text.
func eventIDOf(text string) (id eventID) {
	if n, err := hex.Decode(id[:], []byte(text[:min(len(text), 16)])); err == nil && n == len(id) && len(text) == 16 {
		return id
	}
	sum := sha256.Sum256([]byte(text))
	return eventID(sum[:len(id)])
}

func eventIDsOf(texts []string) []eventID {
	ids := make([]eventID, 0, len(texts))
	for _, text := range texts {
		ids = append(ids, eventIDOf(text))
	}
	return ids
}

// knownEvents are the events of a fault that an installation has reported, in the
// order of their reports. Its slices are shared by copies and never changed.
type knownEvents struct {
	// IDs are the IDs one after the other.
	IDs []byte `json:"ids,omitempty"`
	// Days say how many of them came on which day.
	Days []eventsOfDay `json:"days,omitempty"`
}

type eventsOfDay struct {
	Day collector.Day `json:"day"`
	N   int           `json:"n"`
}

const (
	// eventDays is how long an event is known: as long as the worker knows it.
	eventDays = 400
	// maxKnownEvents bounds the known events of an installation, which are about
	// 11 bytes each in its record. Beyond it the oldest are forgotten.
	maxKnownEvents = 20_000
)

func (k *knownEvents) len() int { return len(k.IDs) / len(eventID{}) }

// each calls yield with the ID of each event.
func (k *knownEvents) each(yield func(eventID) bool) {
	for id := range slices.Chunk(k.IDs, len(eventID{})) {
		if len(id) < len(eventID{}) || !yield(eventID(id)) {
			return
		}
	}
}

func (k *knownEvents) has(id eventID) bool {
	for known := range k.each {
		if known == id {
			return true
		}
	}
	return false
}

// add adds the events of a day that are not known, and returns their number.
func (k *knownEvents) add(day collector.Day, events []eventID) (added int) {
	known := make(map[eventID]struct{}, k.len())
	for id := range k.each {
		known[id] = struct{}{}
	}
	var ids []byte
	for _, id := range events {
		if _, ok := known[id]; !ok {
			known[id] = struct{}{}
			ids = append(ids, id[:]...)
			added++
		}
	}
	if added == 0 {
		return 0
	}
	k.IDs = slices.Concat(k.IDs, ids)
	if last := len(k.Days) - 1; last >= 0 && k.Days[last].Day == day {
		k.Days = slices.Clone(k.Days)
		k.Days[last].N += added
	} else {
		k.Days = slices.Concat(k.Days, []eventsOfDay{{day, added}})
	}
	return added
}

// without returns those events that are not known.
func (k *knownEvents) without(events []eventID) []eventID {
	if len(events) == 0 || k.len() == 0 {
		return events
	}
	known := make(map[eventID]struct{}, k.len())
	for id := range k.each {
		known[id] = struct{}{}
	}
	return slices.DeleteFunc(slices.Clone(events), func(id eventID) bool {
		_, ok := known[id]
		return ok
	})
}

// forget forgets the n events that were reported first.
func (k *knownEvents) forget(n int) {
	n = min(n, k.len())
	k.IDs = k.IDs[n*len(eventID{}):]
	for n > 0 && len(k.Days) > 0 {
		if first := k.Days[0]; first.N > n {
			k.Days = slices.Clone(k.Days)
			k.Days[0].N, n = first.N-n, 0
		} else {
			k.Days, n = k.Days[1:], n-first.N
		}
	}
}

// forgetEvents forgets the events of an installation that are too old, and beyond
// maxKnownEvents the oldest of all faults.
func forgetEvents(counts []faultCount, today collector.Day) {
	total := 0
	for i := range counts {
		k := &counts[i].Known
		for len(k.Days) > 0 && k.Days[0].Day < today-eventDays {
			k.forget(k.Days[0].N)
		}
		total += k.len()
	}
	for total > maxKnownEvents {
		var oldest *knownEvents
		for i := range counts {
			if k := &counts[i].Known; len(k.Days) > 0 && (oldest == nil || k.Days[0].Day < oldest.Days[0].Day) {
				oldest = k
			}
		}
		if oldest == nil {
			return
		}
		n := min(total-maxKnownEvents, oldest.Days[0].N)
		oldest.forget(n)
		total -= n
	}
}
