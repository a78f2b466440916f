package legacy

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// heartbeatOf converts the heartbeat of a client.
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

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// InstallationID returns the ID under which the collector counts an ID of the
// format: a UUID in lower case, and for any other text, and for the UUIDs of only
// zeros or ones, a UUID of version 8 (RFC 9562) derived from all of it. Empty
// stays empty.
func InstallationID(text string) string {
	if text == "" {
		return ""
	}
	lower := strings.ToLower(text)
	if uuid.MatchString(lower) && strings.Trim(lower, "0-") != "" && strings.Trim(lower, "f-") != "" {
		return lower
	}
	sum := sha256.Sum256([]byte("rollcall legacy installation\x00" + text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
