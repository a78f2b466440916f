package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
	"github.com/rollcall-dev/rollcall/report"
)

// maxReleaseBody bounds the body of a request that publishes a release, in bytes.
const maxReleaseBody = 4 << 10

// A PublishedRelease is a release and its channel.
type PublishedRelease struct {
	Channel string `json:"channel"`
	release.Release
}

// publish makes a release the current one of its channel. It can be repeated. The
// sender is a program that builds the app, so an unknown field is an error.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	app, grant, ok := s.mayChange(w, r, access.Release, "a token that may publish releases of the app")
	if !ok {
		return
	}
	var p PublishedRelease
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReleaseBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		refuse(w, http.StatusBadRequest, reasonParameter, fmt.Sprintf("body: %v", err))
		return
	}
	p.Version = report.NormalizeVersion(p.Version)
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	switch err := s.opts.Releases.Set(ctx, app.Num, p.Channel, p.Release); {
	case errors.Is(err, release.ErrInvalid), errors.Is(err, release.ErrTooMany):
		refuse(w, http.StatusBadRequest, reasonParameter, err.Error())
	case err != nil:
		s.refuseUnavailable(w, err)
	default:
		s.opts.Audit.Add(audit.Entry{Action: audit.ReleaseSet, Actor: grant.Name, App: app.Key, Detail: p.Channel + " " + p.Version})
		s.writeJSON(w, r, p)
	}
}

// A ReleaseList is the releases that a channel keeps, at most
// [release.MaxReleases], the current one first.
type ReleaseList struct {
	Releases []PublishedRelease `json:"releases"`
	// VersionOrder is the app's. Clients find the newest version by it.
	VersionOrder report.VersionOrder `json:"version_order,omitzero"`
}

// released lists the releases of a channel for whoever asks, and counts nothing.
// It has all that a channel keeps, so that the sender of the request need not say
// which version runs there to learn that a later one fixes a weakness.
func (s *Server) released(w http.ResponseWriter, r *http.Request) {
	q := &query{values: r.URL.Query()}
	if !q.restrict(w, []string{"channel"}) {
		return
	}
	app, ok := s.engine.App(r.PathValue("app"))
	if !ok {
		refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "there is no such app")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	channels, err := s.opts.Releases.Channels(ctx, app.Num)
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	list := ReleaseList{Releases: []PublishedRelease{}, VersionOrder: app.VersionOrder} // never null
	channel := q.text("channel", release.Stable)
	for _, one := range slices.Backward(channels[channel]) {
		list.Releases = append(list.Releases, PublishedRelease{channel, one})
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // so that the length of the URLs bounds the answer
	if err := encoder.Encode(list); err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	if tag := sha256.Sum256(body.Bytes()); !respond.UnchangedForAll(w, r, fmt.Sprintf("%x", tag[:8]), release.MaxAge) {
		w.Header()["Content-Type"] = jsonType
		respond.Body(w, r, body.Bytes())
	}
}
