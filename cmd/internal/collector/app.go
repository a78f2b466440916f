package collector

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/report"
)

// An App is one host program whose installations are counted.
type App struct {
	// Num is given by the collector.
	Num AppNum `json:"num"`
	// Key is what heartbeats name the app by; see [report.ValidApp].
	Key string `json:"key"`
	// Name is for people: 1 to MaxAppNameLen printable characters. Empty is the key.
	Name string `json:"name"`
	// Created is the day on which the app was added.
	Created Day `json:"created"`
	// Gone says that nothing more is wanted from the app: its installations get the status 410 and stop for good.
	Gone bool `json:"gone,omitzero"`
	// Public says that everyone may read the figures, those of groups smaller than K excepted.
	Public bool `json:"public,omitzero"`
	// K is the size of the smallest group that the public sees: 2 to MaxK; 0 is DefaultK.
	K int `json:"k,omitzero"`
	// Retention is after how many days without a sign an installation is purged: MinRetention to MaxRetention; 0 is
	// DefaultRetention.
	Retention int `json:"retention,omitzero"`
	// ExcludeDevelopment says that heartbeats of development versions ([report.IsDevelopment]) are counted apart, as
	// excluded, and never as installations.
	ExcludeDevelopment bool `json:"exclude_development,omitzero"`
	// MaxNewPerDay bounds the installations that are new on one day; further ones are refused until tomorrow, and the
	// known ones are not. 0 is DefaultMaxNewPerDay.
	MaxNewPerDay int `json:"max_new_per_day,omitzero"`
	// Legacy says that reports of the YA-WAMF wire format, which name no app, are this app's. At most one app is.
	Legacy bool `json:"legacy,omitzero"`
}

// The limits and defaults of an [App].
const (
	MaxApps             = 100
	MaxAppNameLen       = 80
	DefaultK            = 10
	MaxK                = 1000
	DefaultRetention    = 400
	MinRetention        = 60 // the longest window of a figure is 30 days, and the one before is compared with it
	MaxRetention        = 3660
	DefaultMaxNewPerDay = 100_000
	// MaxValues bounds the different values of one dimension of an app, and MaxFacts the different facts; what comes
	// beyond is counted as Other.
	MaxValues = 250
	MaxFacts  = 100
	// MaxVersions is MaxValues for versions. What no installation has any more counts in neither.
	MaxVersions = 1000
	// MaxInMemoryPerDay bounds the different IDs that are not persisted on one day, and those of development versions.
	MaxInMemoryPerDay = 100_000
	// MaxFaults bounds the different faults of an app; further ones are counted as refused.
	MaxFaults = 1000
)

// Validate tells whether an app can be added or changed so, Num and Created aside.
func (a *App) Validate() error {
	switch {
	case !report.ValidApp(a.Key):
		return fmt.Errorf("key %q of the app is not 1 to %d characters of a-z, 0-9 and '-'", a.Key, report.MaxAppLen)
	case !validName(a.Name):
		return fmt.Errorf("name of the app is not 0 to %d printable characters", MaxAppNameLen)
	case a.K != 0 && (a.K < 2 || a.K > MaxK):
		return fmt.Errorf("k is %d, and not 2 to %d", a.K, MaxK)
	case a.Retention != 0 && (a.Retention < MinRetention || a.Retention > MaxRetention):
		return fmt.Errorf("retention is %d days, and not %d to %d", a.Retention, MinRetention, MaxRetention)
	case a.MaxNewPerDay < 0:
		return fmt.Errorf("the number of new installations a day is %d, and not positive", a.MaxNewPerDay)
	}
	return nil
}

func validName(name string) bool {
	if utf8.RuneCountInString(name) > MaxAppNameLen || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Errors about apps.
var (
	// ErrAppExists says that there is an app of that key.
	ErrAppExists = errors.New("there is an app of that key")
	// ErrTooManyApps says that there are MaxApps apps.
	ErrTooManyApps = errors.New("there are too many apps")
)
