package engine

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// Occurrences count how often a fault occurred, by the version that reported
// it; "" is an unknown one, as in the records of earlier versions.
type occurrences map[string]uint64

// maxNewVersions bounds the versions of one fault and day that no established
// installation runs. Further ones count as [collector.Other], so that invented
// versions neither fill the memory nor take the place of others.
const maxNewVersions = 50

// occurrenceVersion returns the version under which today's occurrences of a
// fault count.
func (f *fleet) occurrenceVersion(fault, version string) string {
	if version == "" || f.declared.has(collector.DimVersion, version) || f.releases[version].Earned {
		return version
	}
	if dim := f.dims.get(collector.DimVersion); dim != nil && dim.byText[version] != nil && f.oldest(dim.byText[version].set) > 0 {
		return version
	}
	if known := f.faults[fault]; known != nil {
		today := known.counts[f.today]
		if _, ok := today[version]; !ok && len(today) >= maxNewVersions {
			return collector.Other
		}
	}
	return version
}

// placedVersions returns the versions that have a place. Nobody sees others.
func (f *fleet) placedVersions() map[string]bool {
	placed := make(map[string]bool)
	if dim := f.dims.get(collector.DimVersion); dim != nil {
		for version := range dim.byText {
			placed[version] = true
		}
	}
	return placed
}

// add adds n occurrences in a version. It creates the map if need be.
func (o *occurrences) add(version string, n uint64) {
	if *o == nil {
		*o = make(occurrences)
	}
	(*o)[version] += n
}

func (o *occurrences) addAll(other occurrences) {
	for version, n := range other {
		o.add(version, n)
	}
}

func (o occurrences) total() (n uint64) {
	for _, count := range o {
		n += count
	}
	return n
}

// faultDay returns the record of a day with these occurrences.
func (o occurrences) faultDay() faultDay {
	d := faultDay{Occurrences: o.total()}
	for version, n := range o {
		if version != "" && n > 0 {
			if d.ByVersion == nil {
				d.ByVersion = make(map[string]uint64)
			}
			d.ByVersion[version] = n
		}
	}
	return d
}

// occurrences returns those of the record.
func (d faultDay) occurrences() (o occurrences) {
	known := uint64(0)
	for version, n := range d.ByVersion {
		o.add(version, n)
		known += n
	}
	if d.Occurrences > known {
		o.add("", d.Occurrences-known)
	}
	return o
}
