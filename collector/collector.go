package collector

import (
	"context"
	"log/slog"
	"time"
)

// Options say how a [Collector] works.
type Options struct {
	// Secret keys the hashes that stand for installations: at least 32 bytes. With another secret every installation
	// would be new, so Open refuses a store that was made with another one.
	Secret []byte
	// Queue bounds the reports that wait to be written; further ones get ErrBusy. 0 is DefaultQueue.
	Queue int
	// Logger gets the log lines, in which no ID and no address is; nil discards them.
	Logger *slog.Logger
}

// DefaultQueue is Options.Queue when that is 0.
const DefaultQueue = 4096

// A Collector counts the installations of some apps. Make it with [Open]. It is safe for concurrent use.
type Collector struct {
	store Store
	opts  Options
}

// Open reads what the store holds and starts to count. It returns before all rows are read: until then answers that need
// them are not complete, and reports are taken as always.
func Open(ctx context.Context, store Store, opts Options) (*Collector, error) { panic("") }

// Close refuses further reports, finishes those that wait, and writes all that is only in memory. It does not close the
// store. It returns the context's error when that ends first: nothing acknowledged is lost then either.
func (c *Collector) Close(ctx context.Context) error { panic("") }

// AddApp adds an app. Its Num and Created are set here.
func (c *Collector) AddApp(ctx context.Context, app App) (App, error) { panic("") }

// UpdateApp changes all of an app but Num, Key and Created.
func (c *Collector) UpdateApp(ctx context.Context, app App) error { panic("") }

// Apps gives all apps in the order of their keys.
func (c *Collector) Apps() []App { panic("") }

// App finds an app by its key.
func (c *Collector) App(key string) (App, bool) { panic("") }

// Heartbeat counts a heartbeat, and returns when that is durable. The errors are ErrBusy, ErrNewLimit, ErrUnknownApp,
// ErrGone, ErrClosed, ErrUnavailable or the context's; the heartbeat may be counted nevertheless when the context ends.
func (c *Collector) Heartbeat(ctx context.Context, r Received) (Receipt, error) { panic("") }

// Health counts a health report, as Heartbeat does a heartbeat. A report of an installation that sent no heartbeat yet
// counts that as well.
func (c *Collector) Health(ctx context.Context, r ReceivedHealth) (Receipt, error) { panic("") }

// Known tells whether an installation ID, in canonical form, is one that the app knows.
func (c *Collector) Known(ctx context.Context, app AppNum, id string) (bool, error) { panic("") }

// Refuse counts a report that was refused before it came here; app is 0 when that is not known.
func (c *Collector) Refuse(app AppNum, reason string) { panic("") }

// Describe gives all that is held about an installation ID, in canonical form, for each app that knows it.
func (c *Collector) Describe(ctx context.Context, id string) ([]Held, error) { panic("") }

// Forget deletes all that is held about an installation ID, in canonical form. Totals stay. When it returns, nothing of
// it can be found in the store's files.
func (c *Collector) Forget(ctx context.Context, id string) (Deletion, error) { panic("") }

// Ready returns nil when a write commits.
func (c *Collector) Ready(ctx context.Context) error { panic("") }

// Revision grows whenever an answer about the app can change.
func (c *Collector) Revision(app AppNum) uint64 { panic("") }

// Store gives the store, for backups and checks. Nothing may be committed to it.
func (c *Collector) Store() Store { return c.store }

// Setting reads a setting that PutSetting stored: what belongs to the collector's server and pages, such as tokens and
// alerts. App is 0 for settings of the whole collector.
func (c *Collector) Setting(ctx context.Context, app AppNum, name string) (data []byte, ok bool, err error) {
	panic("")
}

// PutSetting stores a setting, durably; nil deletes it.
func (c *Collector) PutSetting(ctx context.Context, app AppNum, name string, data []byte) error {
	panic("")
}

// A Loader puts the past into an app that has none: days in their order, as if the heartbeats had come then. It is for
// imports and simulations, and much faster than [Collector.Heartbeat]. It is not safe for concurrent use, and nothing
// else is done with the app until Close.
type Loader struct{}

// Load begins to load an app that has no installations yet.
func (c *Collector) Load(ctx context.Context, app AppNum) (*Loader, error) { panic("") }

// Day ends the day before and begins a day, which must be later and not after today.
func (l *Loader) Day(ctx context.Context, day Day) error { panic("") }

// Heartbeat counts a heartbeat on the day.
func (l *Loader) Heartbeat(ctx context.Context, r Received) error { panic("") }

// New adds an installation that is active on the day, with values by dimension, under any key.
func (l *Loader) New(ctx context.Context, key Key, values map[string]string) (Num, error) { panic("") }

// Active says that an installation is active on the day, and Change that it has other values now.
func (l *Loader) Active(num Num) { panic("") }

// Change replaces the values of an installation, those of dimensions that are not named here too.
func (l *Loader) Change(ctx context.Context, num Num, values map[string]string) error { panic("") }

// Close ends the last day, if it is over, and makes all of it durable.
func (l *Loader) Close(ctx context.Context) error { panic("") }

// Series gives the figures day by day.
func (c *Collector) Series(ctx context.Context, app AppNum, r Range, v View) (Series, error) {
	panic("")
}

// Dimensions gives the names of all dimensions that any installation has a value of, in their order.
func (c *Collector) Dimensions(ctx context.Context, app AppNum) ([]string, error) { panic("") }

// Breakdown splits the installations active in the window of that many days (1, 7, 28 or 30) that ends with to. For a
// closed day it is what was written down when it was closed.
func (c *Collector) Breakdown(ctx context.Context, app AppNum, dimension string, window int, to Day, v View) (Breakdown, error) {
	panic("")
}

// Trend gives a breakdown day by day, with the top most frequent values.
func (c *Collector) Trend(ctx context.Context, app AppNum, dimension string, window int, r Range, top int, v View) (Trend, error) {
	panic("")
}

// Retention gives the cohorts that were new in the range.
func (c *Collector) Retention(ctx context.Context, app AppNum, g Grain, r Range, v View) (Retention, error) {
	panic("")
}

// Survival gives a curve for each of the top most frequent first versions.
func (c *Collector) Survival(ctx context.Context, app AppNum, top int, v View) (Survival, error) {
	panic("")
}

// Versions says how releases are taken up in the range.
func (c *Collector) Versions(ctx context.Context, app AppNum, r Range, v View) (Versions, error) {
	panic("")
}

// SetRelease sets the day on which a version was released; 0 takes it back.
func (c *Collector) SetRelease(ctx context.Context, app AppNum, version string, day Day) error {
	panic("")
}

// Floor says how many stay if a version becomes the oldest that is supported.
func (c *Collector) Floor(ctx context.Context, app AppNum, to Day, v View) (Floor, error) { panic("") }

// CoOccurrence counts pairs of values now: of the installations active in the window that ends today.
func (c *Collector) CoOccurrence(ctx context.Context, app AppNum, row, column string, window int, v View) (CoOccurrence, error) {
	panic("")
}

// Issues gives the faults that were reported in the range.
func (c *Collector) Issues(ctx context.Context, app AppNum, r Range, v View) (Issues, error) {
	panic("")
}

// SetIssue sets what the maintainer says of an issue.
func (c *Collector) SetIssue(ctx context.Context, app AppNum, id string, status IssueStatus, fixedIn, note string) error {
	panic("")
}

// Quality says how far the figures can be trusted. It is for the maintainer only.
func (c *Collector) Quality(ctx context.Context, app AppNum, r Range) (Quality, error) { panic("") }

var _ = time.Now
