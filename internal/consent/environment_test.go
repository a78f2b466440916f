package consent_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/internal/consent"
)

func environ(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestDenyingVariable(t *testing.T) {
	type env = map[string]string
	for _, tt := range []struct {
		env  env
		own  string
		want string
	}{
		{env{}, "MY_APP", ""},
		{env{"": "0"}, "", ""},
		// DO_NOT_TRACK denies with anything but no.
		{env{"DO_NOT_TRACK": "1"}, "", "DO_NOT_TRACK"},
		{env{"DO_NOT_TRACK": "true"}, "", "DO_NOT_TRACK"},
		{env{"DO_NOT_TRACK": "please"}, "", "DO_NOT_TRACK"},
		{env{"DO_NOT_TRACK": " "}, "", "DO_NOT_TRACK"},
		{env{"DO_NOT_TRACK": ""}, "", ""},
		{env{"DO_NOT_TRACK": "0"}, "", ""},
		{env{"DO_NOT_TRACK": "False"}, "", ""},
		{env{"DO_NOT_TRACK": " no "}, "", ""},
		{env{"DO_NOT_TRACK": "OFF"}, "", ""},
		// The others deny with no.
		{env{"MY_APP": "0"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": "FALSE"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": " no\n"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": "off"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": "1"}, "MY_APP", ""},
		{env{"MY_APP": ""}, "MY_APP", ""},
		{env{"MY_APP": "-1"}, "MY_APP", ""},
		{env{"MY_APP": "0"}, "", ""},
		{env{"ROLLCALL_TELEMETRY": "0"}, "", "ROLLCALL_TELEMETRY"},
		{env{"ROLLCALL_TELEMETRY": "off"}, "MY_APP", "ROLLCALL_TELEMETRY"},
		{env{"ROLLCALL_TELEMETRY": "true"}, "", ""},
		{env{"ROLLCALL_TELEMETRY": "nope"}, "", ""},
		// The first one that denies.
		{env{"DO_NOT_TRACK": "1", "MY_APP": "0", "ROLLCALL_TELEMETRY": "0"}, "MY_APP", "DO_NOT_TRACK"},
		{env{"DO_NOT_TRACK": "0", "MY_APP": "0", "ROLLCALL_TELEMETRY": "0"}, "MY_APP", "MY_APP"},
		{env{"DO_NOT_TRACK": "0", "MY_APP": "1", "ROLLCALL_TELEMETRY": "0"}, "MY_APP", "ROLLCALL_TELEMETRY"},
		{env{"DO_NOT_TRACK": "0", "MY_APP": "1", "ROLLCALL_TELEMETRY": "1"}, "MY_APP", ""},
	} {
		if got := consent.DenyingVariable(environ(tt.env), tt.own); got != tt.want {
			t.Errorf("%q, own %q: got %q, want %q", tt.env, tt.own, got, tt.want)
		}
	}
}

func TestCIMarker(t *testing.T) {
	for _, name := range []string{"CI", "BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION", "TF_BUILD"} {
		for value, want := range map[string]string{
			"true": name, "1": name, "https://jenkins": name, "": "", "0": "", "false": "", "No": "", "off": "",
		} {
			if got := consent.CIMarker(environ(map[string]string{name: value})); got != want {
				t.Errorf("%s=%q: got %q, want %q", name, value, got, want)
			}
		}
	}
	if got := consent.CIMarker(environ(map[string]string{"GITHUB": "1"})); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestNotCounted(t *testing.T) {
	none, ci := environ(nil), environ(map[string]string{"TF_BUILD": "True"})
	for _, tt := range []struct {
		version string
		getenv  func(string) string
		isTest  bool
		want    string
	}{
		{"v1.2.3", none, false, ""},
		{"v1.2.3", ci, false, "environment variable TF_BUILD"},
		{"dev", none, false, "development version dev"},
		{"", none, false, "development version (none)"},
		{"v1.2.3", none, true, "a test binary"},
		{"dev", none, true, "development version dev"},
		{"dev", ci, true, "environment variable TF_BUILD"},
	} {
		if got := consent.NotCounted(tt.version, tt.getenv, tt.isTest); got != tt.want {
			t.Errorf("version %q, test %v: got %q, want %q", tt.version, tt.isTest, got, tt.want)
		}
	}
}
