package legacy

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// An object is a JSON object of a client, with whatever it wrote.
type object map[string]any

// text gives a value as text without white space around it; what is missing, null, false or no text is empty.
func (o object) text(key string) string {
	switch v := o[key].(type) {
	case string:
		return strings.TrimSpace(v)
	case float64:
		if v != 0 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case bool:
		if v {
			return "true"
		}
	}
	return ""
}

func (o object) object(key string) object {
	inner, _ := o[key].(map[string]any)
	return inner
}

// time gives a value as a time that a report can have, and whether it is one.
func (o object) time(key string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, o.text(key))
	if err != nil || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Second), true
}

func (o object) sentAt(now time.Time) time.Time {
	if t, ok := o.time("timestamp"); ok {
		return t
	}
	return now.UTC().Truncate(time.Second)
}

var canonical = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// InstallationID gives the ID under which the collector knows an installation ID of the format: a UUID in lower case as it
// is, and for any other text, and the UUIDs of only zeros or ones, a UUID of version 8 (RFC 9562) that is derived from the
// whole of it. Empty stays empty.
func InstallationID(text string) string {
	if text == "" {
		return ""
	}
	lower := strings.ToLower(text)
	if canonical.MatchString(lower) && strings.Trim(lower, "0-") != "" && strings.Trim(lower, "f-") != "" {
		return lower
	}
	sum := sha256.Sum256([]byte("rollcall legacy installation\x00" + text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// heartbeatOf gives the heartbeat that a client means.
func heartbeatOf(o object, app, id string, now time.Time) (report.Heartbeat, report.Dropped) {
	facts, dropped := factsOf(o)
	return report.Heartbeat{
		Schema: report.SchemaVersion, App: app, InstallationID: id, IDPersistence: report.Persisted, SentAt: o.sentAt(now),
		Version: report.NormalizeVersion(o.text("version")), Platform: platformOf(o.object("platform")),
		Deployment: report.DeploymentUnknown, Facts: facts,
	}, report.Dropped{Facts: dropped}
}

func platformOf(o object) report.Platform {
	valid := func(text string) string {
		if report.ValidPlatform(text) {
			return text
		}
		return ""
	}
	return report.Platform{
		System: valid(strings.ToLower(o.text("system"))), Release: valid(o.text("release")), Machine: valid(o.text("machine")),
	}
}
