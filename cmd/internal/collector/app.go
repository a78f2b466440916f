package collector

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/report"
)

// An App is one host program whose installations are counted.
type App struct {
	// Num is assigned by the collector.
	Num AppNum `json:"num"`
	// Key names the app in heartbeats; see [report.ValidApp].
	Key string `json:"key"`
	// Name is for people: up to MaxAppNameLen printable characters. If empty,
	// the key is shown.
	Name string `json:"name"`
	// Created is the day the app was added.
	Created Day `json:"created"`
	// Gone means that the app wants no more reports: its installations get
	// status 410 and stop for good.
	Gone bool `json:"gone,omitzero"`
	// Public lets everyone read figures of established installations, once per
	// window of PublicDays, without groups smaller than K.
	Public bool `json:"public,omitzero"`
	// PublicPairs lets everyone read the table of two dimensions too. Whoever
	// knows one value of an installation can then find out others by sending
	// forged reports.
	PublicPairs bool `json:"public_pairs,omitzero"`
	// K is the size of the smallest group the public sees: 2 to MaxK; 0 means
	// DefaultK. Figures of groups smaller than AnonymousK are not anonymous.
	K int `json:"k,omitzero"`
	// Retention is the number of days without a report after which an
	// installation is purged: MinRetention to MaxRetention; 0 means
	// DefaultRetention.
	Retention int `json:"retention,omitzero"`
	// ExcludeDevelopment counts heartbeats of development versions
	// ([report.IsDevelopment]) as excluded, never as installations.
	ExcludeDevelopment bool `json:"exclude_development,omitzero"`
	// VersionOrder says which of two versions is newer; the zero value is the
	// natural order.
	VersionOrder report.VersionOrder `json:"version_order,omitzero"`
	// MaxNewPerDay bounds the new installations per day. Further ones are
	// refused until tomorrow, known ones never. 0 means DefaultMaxNewPerDay.
	MaxNewPerDay int `json:"max_new_per_day,omitzero"`
	// Legacy assigns the reports of the YA-WAMF wire format, which name no app,
	// to this one. At most one app has it.
	Legacy bool `json:"legacy,omitzero"`
}

// Limits and defaults of an [App].
const (
	MaxApps             = 100
	MaxAppNameLen       = 80
	DefaultK            = 5
	AnonymousK          = 5
	MaxK                = 1000
	DefaultRetention    = 400
	MinRetention        = 60 // the longest window is 30 days, and is compared with the one before
	MaxRetention        = 3660
	DefaultMaxNewPerDay = 100_000
	// MaxValues bounds the values of one dimension, and MaxFacts the facts of
	// an app. MaxVersions replaces MaxValues for versions. Beyond that the best
	// supported have a place: further values count as Other, and further facts
	// not at all.
	MaxValues   = 250
	MaxFacts    = 100
	MaxVersions = 1000
	// MaxNewEntries bounds the new names, values and faults of a day that come
	// from one address prefix, by installations known for less than 30 days.
	MaxNewEntries = 200
	// MaxInMemoryPerDay bounds the in-memory IDs of one day, and likewise the
	// excluded ones.
	MaxInMemoryPerDay = 100_000
	// MaxFaults bounds the faults of an app; the best supported have a place.
	MaxFaults = 1000
)

// Limits of the settings that the server and the pages store for an app, or for
// the whole collector.
const (
	// MaxSettingName bounds the name of a setting in bytes. A name is not empty
	// and does not begin with a dot.
	MaxSettingName = 200
	// MaxSettingBytes bounds the data of a setting.
	MaxSettingBytes = 1 << 20
	// MaxTotalBytes bounds one record of totals that are imported.
	MaxTotalBytes = 1 << 20
)

// Errors of adding an app, and of loading or importing its past.
var (
	// ErrAppExists means that another app has the key.
	ErrAppExists = errors.New("an app with that key exists")
	// ErrTooManyApps means that there are MaxApps apps already.
	ErrTooManyApps = errors.New("too many apps")
	// ErrNotEmpty means that the app has already counted something.
	ErrNotEmpty = errors.New("the app has figures of its own")
	// ErrArchive means that the totals to be imported are malformed.
	ErrArchive = errors.New("malformed totals")
	// ErrImported means that the same history was imported before.
	ErrImported = errors.New("the history was imported already")
	// ErrTotalsOnly means that a history has reports of days for which the app
	// keeps totals but no installations.
	ErrTotalsOnly = errors.New("the days cannot be combined")
)

// Validate reports what is wrong with the app's settings. It ignores Num and
// Created.
func (a *App) Validate() error {
	switch {
	case !report.ValidApp(a.Key):
		return fmt.Errorf("app key %q must have 1 to %d characters of a-z, 0-9 and '-'", a.Key, report.MaxAppLen)
	case !validName(a.Name):
		return fmt.Errorf("app name must have at most %d printable characters", MaxAppNameLen)
	case a.K != 0 && (a.K < 2 || a.K > MaxK):
		return fmt.Errorf("k is %d, not 2 to %d", a.K, MaxK)
	case a.Retention != 0 && (a.Retention < MinRetention || a.Retention > MaxRetention):
		return fmt.Errorf("retention is %d days, not %d to %d", a.Retention, MinRetention, MaxRetention)
	case a.MaxNewPerDay < 0:
		return fmt.Errorf("new installations per day is negative: %d", a.MaxNewPerDay)
	}
	_, err := report.ParseVersionOrder(string(a.VersionOrder))
	return err
}

func validName(name string) bool {
	return utf8.ValidString(name) && utf8.RuneCountInString(name) <= MaxAppNameLen &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
