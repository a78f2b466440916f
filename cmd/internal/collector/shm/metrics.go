package shm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

const (
	// environmentFact is what rollcall.Environment declares.
	environmentFact = "environment"
	// maxTexts bounds the values of a metric of texts, as it bounds those of an
	// enumeration that a host declares. One with more may be anything.
	maxTexts = 32
	// maxNames bounds memory, whatever instances have sent.
	maxNames = 10_000
)

// elsewhere are metrics that are not facts, but other fields of a heartbeat.
var elsewhere = map[string]bool{"sys_os": true, "sys_arch": true, "sys_mode": true}

// metrics are those of an application. First, learn has to be called with all
// snapshots, and then decide.
type metrics struct {
	// texts are the values of each fact that is a text, up to one too many.
	texts map[string]map[string]bool
	names map[string]int // of facts, and how many snapshots have each
	// leftOut are metrics by the name that they have in SHM.
	leftOut map[string]bool
	kept    map[string]bool
}

func newMetrics() *metrics {
	return &metrics{texts: make(map[string]map[string]bool), names: make(map[string]int), leftOut: make(map[string]bool), kept: make(map[string]bool)}
}

func (m *metrics) learn(data map[string]any) {
	for name, raw := range data {
		fact, value := nameOf(name), valueOf(raw)
		if fact == "" || value == "" || m.names[fact] == 0 && len(m.names) == maxNames {
			continue
		}
		m.names[fact]++
		if _, ok := raw.(string); ok {
			if m.texts[fact] == nil {
				m.texts[fact] = make(map[string]bool)
			}
			if len(m.texts[fact]) <= maxTexts {
				m.texts[fact][value] = true
			}
		}
	}
}

// decide chooses the facts: the most frequent, if there are too many.
func (m *metrics) decide() {
	byFrequency := slices.SortedFunc(maps.Keys(m.names), func(a, b string) int {
		return cmp.Or(m.names[b]-m.names[a], strings.Compare(a, b))
	})
	for _, name := range byFrequency {
		if len(m.texts[name]) <= maxTexts && len(m.kept) < report.MaxFacts-1 && name != environmentFact {
			m.kept[name] = true
		}
	}
}

// facts returns the facts of a snapshot.
func (m *metrics) facts(data map[string]any) (facts report.Facts) {
	has := make(map[string]bool, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if elsewhere[name] {
			continue
		}
		fact, value := nameOf(name), valueOf(data[name])
		if data[name] != nil && (!m.kept[fact] || value == "" || has[fact]) {
			if len(m.leftOut) < maxNames {
				m.leftOut[name] = true
			}
		} else if data[name] != nil {
			facts, has[fact] = append(facts, report.FactValue{Name: fact, Value: value}), true
		}
	}
	return facts
}

// nameOf returns the name of the fact that a metric becomes, or "" if there is none.
func nameOf(metric string) string {
	if elsewhere[metric] {
		return ""
	}
	name := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_':
			return c
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '_'
	}, metric)
	if !report.ValidName(name) {
		return ""
	}
	return name
}

// valueOf returns the value of a fact, or "" if there is none. A number becomes a
// range from one power of ten to the next, as report.BucketFact names it.
func valueOf(value any) string {
	switch v := value.(type) {
	case bool:
		return fmt.Sprint(v)
	case string:
		return codeOf(v)
	case float64:
		if v < 1 {
			return "<1"
		}
		const last = 1_000_000_000_000
		if v >= last {
			return fmt.Sprintf(">=%d", int64(last))
		}
		from := int64(1)
		for v >= float64(from*10) {
			from *= 10
		}
		return fmt.Sprintf("%d-%d", from, from*10-1)
	}
	return ""
}

// codeOf returns a text in lower case if that is a code, which can be the value of a
// fact, and "" otherwise.
func codeOf(text string) string {
	if text = strings.ToLower(strings.TrimSpace(text)); len(text) <= report.MaxFactValueLen && report.ValidCode(text) {
		return text
	}
	return ""
}
