package dashboard

import (
	"context"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/report"
)

// shownReleases is how many releases of a channel the settings page shows.
const shownReleases = 5

type releasesData struct {
	Stable     string
	Severities []release.Severity
	MaxURL     int
	Rows       []releaseRow
}

type releaseRow struct {
	Channel string
	Current bool
	release.Release
}

// releases returns what the settings page shows of the releases.
func (d *dashboard) releases(ctx context.Context, app collector.AppNum) (*releasesData, error) {
	if d.opts.Releases == nil {
		return nil, nil
	}
	channels, err := d.opts.Releases.Channels(ctx, app)
	if err != nil {
		return nil, err
	}
	data := &releasesData{
		Stable: release.Stable, Severities: []release.Severity{release.Recommended, release.Security}, MaxURL: release.MaxURLLen,
	}
	for _, channel := range channels.Names() {
		list := channels[channel]
		for i, one := range slices.Backward(list[max(0, len(list)-shownReleases):]) {
			data.Rows = append(data.Rows, releaseRow{channel, i == min(len(list), shownReleases)-1, one})
		}
	}
	return data, nil
}

// publishRelease publishes a release of the app.
func (d *dashboard) publishRelease(r *http.Request, v viewer) error {
	if d.opts.Releases == nil {
		return release.ErrNone
	}
	one := release.Release{
		Version: report.NormalizeVersion(formText(r, "version")), Commit: formText(r, "commit"), URL: formText(r, "url"),
		Severity: release.Severity(r.PostFormValue("severity")),
	}
	if text := r.PostFormValue("date"); text != "" {
		var err error
		if one.Date, err = collector.ParseDay(text); err != nil {
			return err
		}
	}
	channel := formText(r, "channel")
	if err := d.opts.Releases.Set(r.Context(), v.app.Num, channel, one); err != nil {
		return err
	}
	d.audit(v, audit.ReleaseSet, channel+" "+one.Version)
	return nil
}

// removeRelease removes a release of the app.
func (d *dashboard) removeRelease(r *http.Request, v viewer) error {
	channel, version := r.PostFormValue("channel"), r.PostFormValue("version")
	if d.opts.Releases == nil || version == "" {
		return release.ErrNone
	}
	if err := d.opts.Releases.Remove(r.Context(), v.app.Num, channel, version); err != nil {
		return err
	}
	d.audit(v, audit.ReleaseRemoved, channel+" "+version)
	return nil
}
