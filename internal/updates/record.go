package updates

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/schedule"
	"github.com/rollcall-dev/rollcall/report"
)

// A Record is what outlives a process: when a collector was asked, and what it
// said.
type Record struct {
	// Seed is a random text that decides the time of day. It is unrelated to the
	// installation ID.
	Seed string
	// Source says who was asked; see [SourceOf].
	Source string
	// ETag names the answer; empty is unknown.
	ETag  string
	Known Known
	State schedule.State
}

// Forgotten returns the record without what was learnt. What bounds the
// attempts of a day stays.
func (r Record) Forgotten() Record {
	return Record{Seed: r.Seed, State: schedule.State{Attempt: r.State.Attempt, Attempts: r.State.Attempts}}
}

// IsForgotten reports whether there is nothing to forget.
func (r Record) IsForgotten() bool { return r == r.Forgotten() }

// maxWord bounds the seed and the source, in bytes.
const maxWord = 40

// recordFile is the form of a record on disk. The state of the schedule is
// beside the rest, as in the file of the reports.
type recordFile struct {
	Seed        string                 `json:"seed"`
	Source      string                 `json:"source,omitempty"`
	ETag        string                 `json:"etag,omitempty"`
	Order       report.VersionOrder    `json:"order,omitempty"`
	Newest      string                 `json:"newest,omitempty"`
	URL         string                 `json:"url,omitempty"`
	Date        string                 `json:"date,omitempty"`
	Severity    report.ReleaseSeverity `json:"severity,omitempty"`
	Recommended string                 `json:"recommended,omitempty"`
	Security    string                 `json:"security,omitempty"`
	schedule.State
}

// Marshal encodes the record: one line of JSON, at most 4 KiB.
func (r Record) Marshal() []byte {
	k := r.Known
	f := recordFile{
		Seed: r.Seed, Source: r.Source, ETag: r.ETag, Order: k.Order,
		Newest: k.Newest.Version, URL: k.Newest.URL, Severity: k.Newest.Severity,
		Recommended: k.Recommended, Security: k.Security, State: r.State,
	}
	if !k.Newest.Date.IsZero() {
		f.Date = k.Newest.Date.UTC().Format(time.DateOnly)
	}
	data, err := json.Marshal(f)
	if err != nil {
		return []byte("{}") // a time after the year 9999, which no plausible clock shows
	}
	return data
}

var recordKeys = []jsonedit.Key{
	{"seed"}, {"source"}, {"etag"}, {"order"}, {"newest"}, {"url"}, {"date"}, {"severity"}, {"recommended"}, {"security"},
}

// Parse decodes a record. Others can write the file, so a part that is not
// valid is as if it were not there, and a URL counts only below the prefix.
func Parse(data []byte, prefix string) Record {
	values, err := jsonedit.Scan(data, recordKeys)
	if err != nil {
		return Record{}
	}
	text := func(i int, valid func(string) bool) string {
		if v := values[i]; v.Kind == jsonedit.String && !v.Long && valid(v.Text) {
			return v.Text
		}
		return ""
	}
	known := func(s string) bool {
		return s == string(report.ReleaseRecommended) || s == string(report.ReleaseSecurity)
	}
	r := Record{
		Seed: text(0, isWord), Source: text(1, isWord), ETag: text(2, ValidETag),
		Known: Known{
			Newest: report.Release{
				Version: text(4, report.ValidRelease), Severity: report.ReleaseSeverity(text(7, known)),
				URL: text(5, func(s string) bool { return len(s) <= report.MaxReleaseURLLen && below(s, prefix) }),
			},
			Recommended: text(8, report.ValidRelease), Security: text(9, report.ValidRelease),
		},
	}
	if date, err := time.Parse(time.DateOnly, text(6, func(string) bool { return true })); err == nil {
		r.Known.Newest.Date = date
	}
	r.Known.Order, _ = report.ParseVersionOrder(text(3, func(s string) bool { _, err := report.ParseVersionOrder(s); return err == nil }))
	if r.Known.Newest.Version == "" {
		r.ETag, r.Known = "", Known{}
	}
	r.State, _ = schedule.ParseWithin(data, len(data)) // what is damaged is the zero state
	return r
}

func isWord(s string) bool { return len(s) <= maxWord && strings.Trim(s, alphanumeric) == "" }

// SourceOf stands for where releases are asked for, and for the prefix that
// their URLs have.
func SourceOf(request, prefix string) string {
	sum := sha256.Sum256([]byte(request + " " + prefix))
	return hex.EncodeToString(sum[:8])
}
