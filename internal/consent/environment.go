package consent

import (
	"cmp"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// DenyingVariable returns the environment variable that denies telemetry, or
// "". DO_NOT_TRACK, an informal standard of console programs, denies with any
// value but the empty one, 0, false, no and off. The host's own variable and
// ROLLCALL_TELEMETRY deny with these four.
func DenyingVariable(getenv func(string) string, own string) string {
	const doNotTrack, general = "DO_NOT_TRACK", "ROLLCALL_TELEMETRY"
	if v := getenv(doNotTrack); v != "" && !isNo(v) {
		return doNotTrack
	}
	for _, name := range []string{own, general} {
		if name != "" && isNo(getenv(name)) {
			return name
		}
	}
	return ""
}

// CIMarker returns the environment variable by which a build server marks its
// jobs, or "".
func CIMarker(getenv func(string) string) string {
	for _, name := range []string{"CI", "BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION", "TF_BUILD"} {
		if v := getenv(name); v != "" && !isNo(v) {
			return name
		}
	}
	return ""
}

// NotCounted says what makes this process no installation to count: a job of
// CI, a development version, or a test. It returns "" if nothing does.
func NotCounted(version string, getenv func(string) string, isTest bool) string {
	switch marker := CIMarker(getenv); {
	case marker != "":
		return "environment variable " + marker
	case report.IsDevelopment(version):
		return "development version " + cmp.Or(version, "(none)")
	case isTest:
		return "a test binary"
	}
	return ""
}

func isNo(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "0", "false", "no", "off":
		return true
	}
	return false
}
