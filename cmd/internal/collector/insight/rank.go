package insight

import (
	"cmp"
	"slices"
	"strings"
)

// classes are the classes of kinds, the most important first.
var classes = [][]Kind{
	{Silent}, {FaultNew, FaultRose}, {ReleaseNew, Adopted}, {ActiveFell, ActiveRose}, {ValueNew}, {NewFell, NewRose},
	{ShareRose, ShareFell}, {FaultFell},
}

func (f Finding) class() int {
	return slices.IndexFunc(classes, func(kinds []Kind) bool { return slices.Contains(kinds, f.Kind) })
}

// concerns returns how many installations a finding is about.
func (f Finding) concerns() uint64 {
	switch f.Kind {
	case Silent:
		return f.Before
	case ReleaseNew, ValueNew, FaultNew:
		return f.Now
	}
	return apart(f.Now, f.Before)
}

func (f Finding) key() string {
	return strings.Join([]string{string(f.Kind), f.Dimension, f.Value, f.Version, f.Fault}, "\x00")
}

// Rank puts the most important finding first: the first of each class in the order
// of the classes, then the second of each, and so on. Within a class the finding
// that concerns more installations comes first.
func Rank(found []Finding) []Finding {
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.class(), b.class()), cmp.Compare(b.concerns(), a.concerns()), cmp.Compare(a.key(), b.key()))
	})
	round := make(map[string]int, len(found)) // how many of its class come before
	inClass := make(map[int]int)
	for _, f := range found {
		round[f.key()] = inClass[f.class()]
		inClass[f.class()]++
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(round[a.key()], round[b.key()]) })
	return found
}
