package consent

import (
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// DenyingVariable returns the environment variable that denies telemetry, or
// "". DO_NOT_TRACK, an informal standard of console programs, denies with any
// value but the empty one, 0, false, no and off. The host's own variable and
// ROLLCALL_TELEMETRY deny with any value but the empty one, 1, true, yes, on
// and enabled.
func DenyingVariable(getenv func(string) string, own string) string {
	const doNotTrack, general = "DO_NOT_TRACK", "ROLLCALL_TELEMETRY"
	if v := getenv(doNotTrack); v != "" && !isNo(v) {
		return doNotTrack
	}
	for _, name := range []string{own, general} {
		if name == "" {
			continue
		}
		if v := getenv(name); v != "" && !isYes(v) {
			return name
		}
	}
	return ""
}

// ciMarkers are the variables that build servers set for their jobs. Nearly
// all set CI. Azure Pipelines, TeamCity and AWS CodeBuild have one of their own,
// and Jenkins has two that mean a job only together: many an image has a
// BUILD_ID, and a program that talks to Jenkins may have a JENKINS_URL.
var ciMarkers = [...][]string{
	{"CI"}, {"TF_BUILD"}, {"TEAMCITY_VERSION"}, {"CODEBUILD_BUILD_ID"}, {"JENKINS_URL", "BUILD_ID"},
}

// CIMarker returns the environment variable that a build server set for this job,
// or "".
func CIMarker(getenv func(string) string) string {
	unset := func(name string) bool { v := getenv(name); return v == "" || isNo(v) }
	for _, names := range ciMarkers {
		if !slices.ContainsFunc(names, unset) {
			return names[0]
		}
	}
	return ""
}

// An Exclusion is why a process is no installation to count. The zero value
// means that it is one.
type Exclusion struct {
	Variable    string // marks a job of CI
	Development bool   // the host's version is a development version
	Test        bool   // the process is a test
}

// NotCounted returns what makes this process no installation to count, of
// which one is enough.
func NotCounted(version string, getenv func(string) string, isTest bool) Exclusion {
	return Exclusion{CIMarker(getenv), report.IsDevelopment(version), isTest}
}

func isNo(value string) bool {
	return slices.Contains([]string{"0", "false", "no", "off"}, word(value))
}

func isYes(value string) bool {
	return slices.Contains([]string{"1", "true", "yes", "on", "enabled"}, word(value))
}

// word returns a value as it is compared. Files of variables often keep the
// quotes, and the carriage return at the end of a line.
func word(value string) string {
	value = strings.TrimSpace(value)
	for _, quote := range []string{`"`, "'"} {
		if inner, ok := strings.CutPrefix(value, quote); ok && strings.HasSuffix(inner, quote) {
			value = strings.TrimSpace(strings.TrimSuffix(inner, quote))
		}
	}
	return strings.ToLower(value)
}
