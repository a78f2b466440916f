package legacy

import (
	"fmt"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// stableVersion and branchVersion are releases as the worker describes them. What
// is unknown is null.
type (
	stableVersion struct {
		Version *string `json:"version"`
		URL     *string `json:"url"`
	}
	branchVersion struct {
		Version *string `json:"version"`
		Commit  *string `json:"commit"`
		URL     *string `json:"url"`
	}
	versions struct {
		Stable   stableVersion            `json:"stable"`
		Dev      branchVersion            `json:"dev"`
		Branches map[string]branchVersion `json:"branches"`
	}
)

// version answers with the current release of each channel, whoever asks, and
// whether or not the app still accepts reports. As in the worker, all channels but
// the stable one are branches, and "dev" is named twice.
func (h *Handler) version(w http.ResponseWriter, r *http.Request) {
	answer := versions{Branches: map[string]branchVersion{}}
	if app, ok, _ := h.findApp(r); ok {
		channels, err := h.opts.Releases.Channels(r.Context(), app.Num)
		if err != nil {
			h.opts.Logger.Warn("Question could not be answered", "path", r.URL.Path, "error", err.Error())
			refuse(w, http.StatusServiceUnavailable, "Try again later")
			return
		}
		for channel := range channels {
			current, _ := channels.Current(channel)
			if channel == release.Stable {
				answer.Stable = stableVersion{orNull(current.Version), orNull(current.URL)}
				continue
			}
			answer.Branches[channel] = branchVersion{orNull(current.Version), orNull(current.Commit), orNull(current.URL)}
		}
		answer.Dev = answer.Branches["dev"]
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", release.MaxAge/time.Second))
	writeJSON(w, http.StatusOK, answer)
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
