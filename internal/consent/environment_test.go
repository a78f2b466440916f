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
		{env{"MY_APP": "-1"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": " "}, "MY_APP", "MY_APP"},
		{env{"MY_APP": "disabled"}, "MY_APP", "MY_APP"},
		{env{"MY_APP": "yes\r"}, "MY_APP", ""},
		{env{"MY_APP": " On "}, "MY_APP", ""},
		{env{"MY_APP": "ENABLED"}, "MY_APP", ""},
		{env{"MY_APP": `"true"`}, "MY_APP", ""},
		{env{"MY_APP": `' 1 '`}, "MY_APP", ""},
		{env{"MY_APP": `"off"`}, "MY_APP", "MY_APP"},
		{env{"MY_APP": `"`}, "MY_APP", "MY_APP"},
		{env{"MY_APP": `""`}, "MY_APP", "MY_APP"},
		{env{"DO_NOT_TRACK": "\"0\"\r"}, "", ""},
		{env{"DO_NOT_TRACK": `"1"`}, "", "DO_NOT_TRACK"},
		{env{"MY_APP": "0"}, "", ""},
		{env{"ROLLCALL_TELEMETRY": "0"}, "", "ROLLCALL_TELEMETRY"},
		{env{"ROLLCALL_TELEMETRY": "off"}, "MY_APP", "ROLLCALL_TELEMETRY"},
		{env{"ROLLCALL_TELEMETRY": "true"}, "", ""},
		{env{"ROLLCALL_TELEMETRY": "nope"}, "", "ROLLCALL_TELEMETRY"},
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
	for _, name := range []string{"CI", "TEAMCITY_VERSION", "TF_BUILD", "CODEBUILD_BUILD_ID"} {
		for value, want := range map[string]string{
			"true": name, "1": name, "https://jenkins": name, "": "", "0": "", "false": "", "No": "", "off": "",
		} {
			if got := consent.CIMarker(environ(map[string]string{name: value})); got != want {
				t.Errorf("%s=%q: got %q, want %q", name, value, got, want)
			}
		}
	}
	jenkins := map[string]string{"JENKINS_URL": "https://jenkins", "BUILD_ID": "7"}
	if got := consent.CIMarker(environ(jenkins)); got != "JENKINS_URL" {
		t.Errorf("%v: got %q", jenkins, got)
	}
	for _, name := range []string{"GITHUB", "BUILD_ID", "JENKINS_URL", "BUILD_NUMBER"} {
		if got := consent.CIMarker(environ(map[string]string{name: "1"})); got != "" {
			t.Errorf("%s alone: got %q", name, got)
		}
	}
}

func TestNotCounted(t *testing.T) {
	none, ci := environ(nil), environ(map[string]string{"TF_BUILD": "True"})
	for _, tt := range []struct {
		version string
		getenv  func(string) string
		isTest  bool
		want    consent.Exclusion
	}{
		{"v1.2.3", none, false, consent.Exclusion{}},
		{"v1.2.3", ci, false, consent.Exclusion{Variable: "TF_BUILD"}},
		{"dev", none, false, consent.Exclusion{Development: true}},
		{"", none, false, consent.Exclusion{Development: true}},
		{"v1.2.3", none, true, consent.Exclusion{Test: true}},
		{"dev", ci, true, consent.Exclusion{Variable: "TF_BUILD", Development: true, Test: true}},
	} {
		if got := consent.NotCounted(tt.version, tt.getenv, tt.isTest); got != tt.want {
			t.Errorf("version %q, test %v: got %+v, want %+v", tt.version, tt.isTest, got, tt.want)
		}
	}
}
