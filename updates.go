package rollcall

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/schedule"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/internal/updates"
	"github.com/rollcall-dev/rollcall/report"
)

func (u UpdatesConfig) check() error {
	switch {
	case u.URLPrefix == "" && (u.Channel != "" || u.Changed != nil):
		return invalid("Updates.URLPrefix", "missing, so there is no update check")
	case u.URLPrefix == "":
		return nil
	case !report.ValidChannel(u.Channel):
		return invalid("Updates.Channel", "not 1 to %d letters, digits, and . _ / -", report.MaxChannelLen)
	}
	if err := updates.CheckPrefix(u.URLPrefix); err != nil {
		return &ConfigError{Field: "Updates.URLPrefix", Err: err}
	}
	return nil
}

// An Update is a release newer than the running version. The zero value means that
// none is known.
type Update struct {
	// Version is a single word that begins with a letter or a digit; see
	// report.ValidRelease.
	Version string `json:"version"`
	// URL is where people read about it. It lies below Updates.URLPrefix, or is
	// empty.
	URL string `json:"url,omitempty"`
	// Released is the day it came out, in UTC; zero is unknown.
	Released time.Time `json:"released,omitzero"`
	// Severity is the greatest of all releases that are newer than the running
	// version: report.ReleaseSecurity says that the running version has a known
	// weakness, which a newer one fixes.
	Severity report.ReleaseSeverity `json:"severity,omitempty"`
}

// UpdateStatus is the state of the update check.
type UpdateStatus struct {
	// Consent is the operator's decision, as last read.
	Consent Decision `json:"consent"`
	// Channel is the channel that is asked for; empty if the host has no update
	// check.
	Channel string `json:"channel,omitempty"`
	// Newer is what [Service.Update] returns.
	Newer Update `json:"newer,omitzero"`
	// LastSuccess is when the collector last answered, and LastAttempt when it
	// was last asked; zero for never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	// LastError is why the last attempt failed; empty after a success.
	LastError string `json:"last_error,omitempty"`
	// NextDue is when the next check is due; zero if that is not known.
	NextDue time.Time `json:"next_due,omitzero"`
	// Withheld says why nobody is asked at present; empty if the collector is.
	Withheld string `json:"withheld,omitempty"`
}

// ErrNoUpdateCheck means that the host has no update check, because
// Updates.URLPrefix is empty.
var ErrNoUpdateCheck = errors.New("this program has no update check")

// Update returns the newest release of the channel, if it is newer than the
// running version by the collector's order of versions, or else the zero value.
// It is also zero while nothing is known, while the operator has not granted the
// update check, and in a process that is no installation to count. It asks and
// waits for nobody. What is known survives a restart and is read a few seconds
// after it.
func (s *Service) Update() Update {
	if s.noUpdates() != nil {
		return Update{}
	}
	u := s.checker()
	if u == nil {
		return Update{}
	}
	if s.updateWithheld(s.known(s.keeper.Status())) != nil {
		return Update{}
	}
	return u.newer()
}

// CheckUpdate asks the collector if that is due, and returns [Service.Update].
// It is for programs that do not run long. It fails with [ErrWithheld] without
// any request. An attempt that failed is a [*SendError], beside what was known
// before.
func (s *Service) CheckUpdate(ctx context.Context) (Update, error) {
	if err := s.noUpdates(); err != nil {
		return Update{}, err
	}
	u := s.checker()
	if u == nil {
		return Update{}, errNoSending // as noUpdates says
	}
	if err := s.updateWithheld(s.Decisions(ctx)); err != nil {
		return Update{}, err
	}
	err := u.sender.SendIfDue(ctx)
	if errors.Is(err, ErrNotDue) {
		err = nil
	}
	return s.Update(), sendError(err)
}

// noUpdates returns why there is no update check; nil if there is one.
func (s *Service) noUpdates() error {
	switch {
	case s != nil && s.checker() != nil:
		return nil
	case s == nil || s.config.Updates.URLPrefix == "":
		return ErrNoUpdateCheck
	}
	return s.noEndpoint()
}

// updateWithheld returns why the decisions allow no update check; nil if they
// do. A process that is no installation to count has no updates either.
func (s *Service) updateWithheld(d Decisions) error {
	if d.UpdateCheck.State != Granted {
		return withheldError(fmt.Sprintf("the update check is %v (%v)", d.UpdateCheck.State, d.UpdateCheck.Source))
	}
	if why := s.version.Load().notCounted; why != nil {
		return why
	}
	return nil
}

func (s *Service) updateStatus(d Decisions) UpdateStatus {
	st := UpdateStatus{Consent: d.UpdateCheck}
	if s == nil || s.config.Updates.URLPrefix == "" {
		st.Withheld = ErrNoUpdateCheck.Error()
		return st
	}
	st.Channel = s.config.Updates.Channel
	if s.checker() != nil {
		sent := s.checker().sender.Status()
		st.LastSuccess, st.LastAttempt, st.LastError, st.NextDue = sent.LastSuccess, sent.LastAttempt, sent.LastError, sent.NextDue
	}
	err := s.updateWithheld(d)
	if err == nil {
		err = s.noUpdates()
	}
	if err != nil {
		st.Withheld = err.Error()
	} else if u := s.checker(); u != nil {
		st.Newer = u.newer()
	}
	return st
}

// An updater asks for releases and remembers the answer.
type updater struct {
	service *Service
	sender  *sender.Sender
	request string // the URL
	source  string // stands for the request and for where URLs may lead

	mu        sync.Mutex
	record    updates.Record
	isRead    bool // whether the record on disk was read
	isCleared bool // whether nothing on disk is left to forget
	forgotten int  // how often
}

// newUpdater returns the updater of a service, or nil without an endpoint or an
// update check.
func (s *Service) newUpdater() *updater {
	c := s.config
	if c.Endpoint == "" || c.Updates.URLPrefix == "" || !sender.Enabled {
		return nil
	}
	u := &updater{service: s}
	sending := s.senderConfig()
	sending.ID, sending.Allowed, sending.Ask = u.seed, u.allowed, u.ask
	sending.Load, sending.Save, sending.Failed = u.load, u.save, "Update check failed"
	u.sender = sender.New(sending)
	u.request = c.updateRequest()
	u.source = updates.SourceOf(u.request, c.Updates.URLPrefix)
	return u
}

// checker returns the updater, or nil. A build that cannot send links none of its
// code.
func (s *Service) checker() *updater {
	if !sender.Enabled {
		return nil
	}
	return s.updates
}

func (c Config) updateRequest() string {
	return strings.TrimRight(c.Endpoint, "/") + "/v1/releases/" + c.App + "?channel=" + c.Updates.Channel
}

func (u *updater) newer() Update {
	u.mu.Lock()
	known := u.record.Known
	u.mu.Unlock()
	r := known.For(u.service.version.Load().text)
	return Update{r.Version, r.URL, r.Date, r.Severity}
}

// allowed reports whether the operator's consent stands. If it does not, what
// was learnt is forgotten.
func (u *updater) allowed(ctx context.Context) bool {
	d := u.service.Decisions(ctx)
	if d.UpdateCheck.isKnown() && d.UpdateCheck.State != Granted {
		u.clear(ctx)
	}
	return u.service.updateWithheld(d) == nil
}

// isKnown reports whether the source of the decision was read.
func (d Decision) isKnown() bool {
	return d.Source.Problem != ProblemUnreadable && d.Source.Problem != ProblemNotRead
}

// seed returns what the time of day follows from. It is random, and kept with
// what is known, so that it says nothing about the installation ID.
func (u *updater) seed(ctx context.Context) (string, bool) {
	u.mu.Lock()
	isRead := u.isRead
	u.mu.Unlock()
	if !isRead {
		ctx, cancel := context.WithTimeout(ctx, updateReadTimeout)
		_, _ = u.load(ctx) // else the seed lasts as long as the process
		cancel()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.record.Seed = cmp.Or(u.record.Seed, rand.Text())
	return u.record.Seed, true
}

// updateReadTimeout bounds one read or write of what is known.
const updateReadTimeout = 5 * time.Second

// load reads what this process, or another one, saved. It returns the state of
// the schedule.
func (u *updater) load(ctx context.Context) ([]byte, error) {
	data, err := u.service.records.LoadNote(ctx, idstore.UpdateNote)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	read := updates.Parse(data, u.service.config.Updates.URLPrefix)
	if read.Source != u.source {
		read = read.Forgotten()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.isRead, u.isCleared = true, u.isCleared && read.IsForgotten()
	if !read.State.Success.Before(u.record.State.Success) { // else the last save failed
		read.Seed = cmp.Or(read.Seed, u.record.Seed)
		u.record = read
	}
	return read.State.Marshal(), err
}

// save keeps the state of the schedule and what is known.
func (u *updater) save(ctx context.Context, state []byte) error {
	st, err := schedule.Parse(state)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.record.State, u.record.Source = st, u.source
	u.isCleared = u.isCleared && u.record.IsForgotten()
	data := u.record.Marshal()
	u.mu.Unlock()
	return u.service.records.SaveNote(ctx, idstore.UpdateNote, data)
}

// ask makes the request. The operator's consent is read just before.
func (u *updater) ask(ctx context.Context, do sender.Requester) *sender.Error {
	s := u.service
	if err := s.updateWithheld(s.Decisions(ctx)); err != nil {
		return &sender.Error{Text: err.Error(), Err: err}
	}
	before := s.Update()
	u.mu.Lock()
	etag, forgotten := u.record.ETag, u.forgotten
	u.mu.Unlock()
	answer, failed := do(ctx, sender.Message{Method: "GET", URL: u.request, ETag: etag, Want: report.MaxReleasesBytes})
	switch {
	case failed != nil && failed.Gone:
		failed.Text, failed.Gone, failed.Refused = "the collector has no releases of this program any more", false, true
		return failed
	case failed != nil || answer.Unchanged:
		return failed
	}
	releases, err := report.ParseReleases(answer.Body)
	if err != nil {
		return &sender.Error{Text: "the collector's answer is not a list of releases", Refused: true, Err: err}
	}
	u.mu.Lock()
	if forgotten == u.forgotten { // else the operator withdrew meanwhile
		u.record.Known, u.record.ETag = updates.From(releases, s.config.Updates.URLPrefix), ""
		if updates.ValidETag(answer.ETag) {
			u.record.ETag = answer.ETag
		}
	}
	u.mu.Unlock()
	if after := s.Update(); after != before && s.config.Updates.Changed != nil {
		ignoringPanic(func() { s.config.Updates.Changed(after) })
	}
	return nil
}

// forget forgets in memory what was learnt.
func (u *updater) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgotten++
	u.record = u.record.Forgotten()
}

// clear forgets what was learnt, on disk too.
func (u *updater) clear(ctx context.Context) {
	u.forget()
	u.mu.Lock()
	isCleared := u.isCleared
	u.mu.Unlock()
	if isCleared {
		return
	}
	if err := u.service.clearUpdates(ctx); err != nil {
		u.service.log.Debug("Releases not forgotten", keyError, err.Error())
		return
	}
	u.mu.Lock()
	u.isCleared = true
	u.mu.Unlock()
}

// clearUpdates removes from the disk what was learnt of releases, by whichever
// process.
func (s *Service) clearUpdates(ctx context.Context) error {
	if !sender.Enabled {
		return nil // nothing was learnt
	}
	ctx, cancel := context.WithTimeout(ctx, updateReadTimeout)
	defer cancel()
	data, err := s.records.LoadNote(ctx, idstore.UpdateNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if known := updates.Parse(data, ""); !known.IsForgotten() {
		return s.records.SaveNote(ctx, idstore.UpdateNote, known.Forgotten().Marshal())
	}
	return nil
}

// SetUpdateConsent saves the operator's decision about the update check, as
// [Service.SetConsent] does that about telemetry, which it does not need. A
// denial forgets what was learnt.
func (s *Service) SetUpdateConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return ErrNoService
	}
	err := s.setConsent(ctx, idstore.UpdateCheck, granted, []consentWrite{{s.keys.UpdateCheck, fmt.Sprint(granted)}})
	switch {
	case !granted:
		if clearErr := s.clearUpdates(ctx); clearErr != nil {
			s.log.Debug("Releases not forgotten", keyError, clearErr.Error())
		}
	case err == nil && s.checker() != nil:
		s.checker().sender.Wake()
	}
	return err
}

// denyUpdateCheckToo denies the update check after telemetry was denied, unless
// it is known that the settings do not grant it.
func (s *Service) denyUpdateCheckToo(ctx context.Context) error {
	r := s.lastRead.Load()
	if ctx.Err() == nil && r.err == nil && r.settings.UpdateCheck.State != consent.Granted {
		return nil
	}
	return s.SetUpdateConsent(ctx, false)
}
