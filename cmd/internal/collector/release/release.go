// Package release keeps the releases that the maintainer of an app publishes, by
// channel: "stable", and perhaps others such as the branches that are built
// continuously. Installations may ask for them without saying who they are.
//
// The releases of an app are one setting of the collector.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// Stable is the channel of the releases that everyone is meant to run.
const Stable = report.StableChannel

// The limits. MaxChannels full channels fit into a setting.
const (
	// MaxChannels bounds the channels of an app.
	MaxChannels = 30
	// MaxReleases bounds the releases of a channel. Beyond it, the oldest is
	// dropped.
	MaxReleases = report.MaxReleases
	// MaxURLLen bounds a URL, in bytes.
	MaxURLLen = report.MaxReleaseURLLen
)

// MaxAge is how long who asks for releases may keep the answer.
const MaxAge = 30 * time.Minute

// A Severity says how much an installation needs a release.
type Severity = report.ReleaseSeverity

// The severities.
const (
	None        = report.ReleaseOrdinary
	Recommended = report.ReleaseRecommended
	Security    = report.ReleaseSecurity
)

// A Release is a version in a channel.
type Release struct {
	// Version is valid: see [report.ValidRelease].
	Version string `json:"version"`
	// Commit is the beginning of a commit's hash, of 7 to 64 hexadecimal digits;
	// empty is unknown.
	Commit string `json:"commit,omitzero"`
	// URL is where people read about it, and begins with https://; empty is none.
	URL string `json:"url,omitzero"`
	// Date is the day it came out; [Store.Set] replaces 0 by the current day.
	Date     collector.Day `json:"date,omitzero"`
	Severity Severity      `json:"severity,omitzero"`
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// ErrInvalid means that a channel or a release is malformed.
var ErrInvalid = errors.New("invalid release")

// Validate reports what is wrong with a release of a channel, as an [ErrInvalid].
func (r Release) Validate(channel string) error {
	to, err := url.Parse(r.URL)
	switch {
	case !report.ValidChannel(channel):
		return fmt.Errorf("%w: channel %q does not have 1 to 64 letters, digits, and . _ / -", ErrInvalid, channel)
	case !report.ValidRelease(r.Version):
		return fmt.Errorf("%w: %q is not a version: 1 to %d letters, digits, and . + ~ : ! _ -, with a digit", ErrInvalid, r.Version, report.MaxVersionLen)
	case r.Commit != "" && !commitPattern.MatchString(r.Commit):
		return fmt.Errorf("%w: commit %q does not have 7 to 64 hexadecimal digits", ErrInvalid, r.Commit)
	case r.URL != "" && (err != nil || to.Scheme != "https" || to.Host == "" || to.User != nil || len(r.URL) > MaxURLLen):
		return fmt.Errorf("%w: %q is not an https URL of at most %d bytes", ErrInvalid, r.URL, MaxURLLen)
	case r.Severity != None && r.Severity != Recommended && r.Severity != Security:
		return fmt.Errorf("%w: severity %q is neither %q nor %q", ErrInvalid, r.Severity, Recommended, Security)
	}
	return nil
}

// Channels are the releases of an app by channel. No channel is empty, and the
// last release of each is the current one.
type Channels map[string][]Release

// Current returns the current release of a channel, and whether it has one.
func (c Channels) Current(channel string) (Release, bool) {
	list := c[channel]
	if len(list) == 0 {
		return Release{}, false
	}
	return list[len(list)-1], true
}

// Names returns the channels: Stable first, and the others in order.
func (c Channels) Names() []string {
	names := slices.Sorted(maps.Keys(c))
	if i := slices.Index(names, Stable); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, Stable)
	}
	return names
}

// An Engine keeps the releases, and counts the versions.
type Engine interface {
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
	Declared(app collector.AppNum) (collector.Declarations, error)
	Declare(ctx context.Context, app collector.AppNum, d collector.Declarations) error
}

// setting is the name of the setting.
const setting = "releases"

// A Store keeps the releases of all apps. Create it with [New]. It is safe for
// concurrent use.
type Store struct {
	engine Engine
	// changing is held from reading what a change begins with until it is stored.
	changing sync.Mutex
}

// New returns the store in the settings of an engine. It reads nothing yet.
func New(engine Engine) *Store { return &Store{engine: engine} }

// Channels returns the releases of an app.
func (s *Store) Channels(ctx context.Context, app collector.AppNum) (Channels, error) {
	channels := make(Channels)
	data, ok, err := s.engine.Setting(ctx, app, setting)
	if err == nil && ok {
		err = json.Unmarshal(data, &channels)
	}
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	return channels, nil
}

// Errors of changes.
var (
	// ErrTooMany means that the app has MaxChannels channels already.
	ErrTooMany = fmt.Errorf("the app has %d channels already", MaxChannels)
	// ErrNone means that the channel has no such release.
	ErrNone = errors.New("there is no such release")
)

// Set makes a release the current one of a channel. If the channel has the version
// with the same commit, only its details change, and the current one stays: so the
// severity of an older release can be raised. A release of [Stable] is also
// declared to the engine, so that figures mark the day it came out.
func (s *Store) Set(ctx context.Context, app collector.AppNum, channel string, r Release) error {
	if err := r.Validate(channel); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	channels, err := s.Channels(ctx, app)
	if err != nil {
		return err
	}
	list := channels[channel]
	if len(list) == 0 && len(channels) >= MaxChannels {
		return ErrTooMany
	}
	i := slices.IndexFunc(list, func(known Release) bool { return known.Version == r.Version })
	switch {
	case i >= 0 && list[i].Commit == r.Commit:
		if r.Date == 0 {
			r.Date = list[i].Date
		}
		list[i] = r
	default:
		if i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if r.Date == 0 {
			r.Date = collector.DayOf(time.Now())
		}
		list = append(list, r)
	}
	channels[channel] = list[max(0, len(list)-MaxReleases):]
	if channel == Stable { // first, because repeating Set completes it
		if err := s.declare(ctx, app, r); err != nil {
			return err
		}
	}
	return s.put(ctx, app, channels)
}

func (s *Store) declare(ctx context.Context, app collector.AppNum, r Release) error {
	declared, err := s.engine.Declared(app)
	if err != nil {
		return err
	}
	declared.AddRelease(collector.DeclaredRelease{Version: r.Version, Released: r.Date})
	return s.engine.Declare(ctx, app, declared)
}

// Remove removes a release from a channel, or the channel if version is empty.
// What was declared to the engine stays.
func (s *Store) Remove(ctx context.Context, app collector.AppNum, channel, version string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	channels, err := s.Channels(ctx, app)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(channels[channel]), func(r Release) bool { return version == "" || r.Version == version })
	if len(rest) == len(channels[channel]) {
		return ErrNone
	}
	if channels[channel] = rest; len(rest) == 0 {
		delete(channels, channel)
	}
	return s.put(ctx, app, channels)
}

func (s *Store) put(ctx context.Context, app collector.AppNum, channels Channels) error {
	var data []byte // nil deletes the setting
	if len(channels) > 0 {
		var err error
		if data, err = json.Marshal(channels); err != nil {
			return err
		}
	}
	if err := s.engine.PutSetting(ctx, app, setting, data); err != nil {
		return fmt.Errorf("store releases: %w", err)
	}
	return nil
}
