package rollcall

import (
	"os"
	"strings"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/installid"
)

// Consent is what the operator decided about telemetry. The zero value is Unset, which acts as Denied.
type Consent int

// The states of consent.
const (
	Unset Consent = iota
	Granted
	Denied
)

// String is "unset", "granted" or "denied".
func (c Consent) String() string {
	switch c {
	case Granted:
		return "granted"
	case Denied:
		return "denied"
	default:
		return "unset"
	}
}

// MarshalText gives [Consent.String].
func (c Consent) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// The variables that can deny consent, and cannot grant it.
const (
	// doNotTrack denies with any value but the empty one, 0, false, no and off; an informal standard of console programs.
	doNotTrack = "DO_NOT_TRACK"
	// telemetryVariable denies with 0, false, no and off.
	telemetryVariable = "ROLLCALL_TELEMETRY"
)

// consent tells the effective consent and what decided it.
func (s *Service) consent(st installid.Status) (Consent, string) {
	return effectiveConsent(os.Getenv, st.Enabled, st.Unread, s.config.EnabledKey)
}

// effectiveConsent weighs the sources: the environment goes before the config, and can only deny. unread says that the
// config could not be read.
func effectiveConsent(getenv func(string) string, enabled configfile.Value, unread bool, key string) (state Consent, source string) {
	if name, denied := deniedByEnvironment(getenv); denied {
		return Denied, "environment variable " + name
	}
	switch {
	case unread:
		return Denied, "the config could not be read"
	case enabled.Kind == configfile.Absent:
		return Unset, "not decided"
	case enabled.Kind == configfile.Bool && enabled.Text == "true":
		return Granted, "config key " + key
	case enabled.Kind == configfile.Bool:
		return Denied, "config key " + key
	default:
		return Denied, "config key " + key + " is neither true nor false"
	}
}

// deniedByEnvironment names the variable that denies consent, if one does.
func deniedByEnvironment(getenv func(string) string) (name string, denied bool) {
	if v := getenv(doNotTrack); v != "" && !isNo(v) {
		return doNotTrack, true
	}
	if isNo(getenv(telemetryVariable)) {
		return telemetryVariable, true
	}
	return "", false
}

func isNo(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "0", "false", "no", "off":
		return true
	}
	return false
}
