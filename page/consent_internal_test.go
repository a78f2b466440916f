package page

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
)

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		source rollcall.Source
		want   string
	}{
		{rollcall.Source{Kind: rollcall.SourcePolicy, Name: "/etc/p.json"}, "by the policy file /etc/p.json"},
		{rollcall.Source{Kind: rollcall.SourcePolicy, Name: "/etc/p.json", Problem: rollcall.ProblemUnreadable}, "because the policy file /etc/p.json could not be read"},
		{rollcall.Source{Kind: rollcall.SourcePolicy, Name: "/etc/p.json", Problem: rollcall.ProblemNotRead}, "because the policy file /etc/p.json has not been read yet"},
		{rollcall.Source{Kind: rollcall.SourceEnvironment, Name: "DO_NOT_TRACK"}, "by the environment variable DO_NOT_TRACK"},
		{rollcall.Source{Kind: rollcall.SourceProcess}, "in this process only, because the decision could not be saved"},
		{rollcall.Source{Kind: rollcall.SourceEnvironment, Name: "X_ID", Problem: rollcall.ProblemRetired}, "because the installation ID was reset or forgotten: X_ID"},
		{rollcall.Source{Kind: rollcall.SourceWithdrawal, Name: "/s/denied", Problem: rollcall.ProblemUnreadable}, "because the file /s/denied could not be read"},
		{rollcall.Source{Kind: rollcall.SourceWithdrawal, Name: "/s/denied"},
			"through Rollcall. It stays off, whatever the settings say. To turn it on again, use this page or rollcall enable, or remove the file /s/denied"},
		{rollcall.Source{Kind: rollcall.SourceWithdrawal, Name: "/s/denied", By: "rollcall disable", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
			"by rollcall disable on 2026-01-02 03:04:05 UTC. It stays off, whatever the settings say. " +
				"To turn it on again, use this page or rollcall enable, or remove the file /s/denied"},
		{rollcall.Source{Kind: rollcall.SourceConfig, Name: "a.b"}, "by the config key a.b"},
		{rollcall.Source{Kind: rollcall.SourceConfig, Name: "a.b", Problem: rollcall.ProblemInvalid}, "because the config key a.b is neither true nor false"},
		{rollcall.Source{Kind: rollcall.SourceConfig, Problem: rollcall.ProblemUnreadable}, "because the config could not be read"},
		{rollcall.Source{Kind: rollcall.SourceConsentFile, Name: "/s/consent.json"}, "by the consent file /s/consent.json"},
		{rollcall.Source{Kind: rollcall.SourceHost}, "by this program's settings"},
		{rollcall.Source{Kind: rollcall.SourceHost, Name: "Settings > Privacy"}, "by this program's settings, Settings > Privacy"},
		{rollcall.Source{Kind: rollcall.SourceHost, Problem: rollcall.ProblemUnreadable}, "because this program's settings could not be read"},
	} {
		if got := cause(tt.source, "rollcall enable"); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.source, got, tt.want)
		}
	}
}

// A button is offered only if it has an effect.
func TestConsentButtons(t *testing.T) {
	policy, config := rollcall.Source{Kind: rollcall.SourcePolicy}, rollcall.Source{Kind: rollcall.SourceConfig, Name: "a"}
	invalid := rollcall.Source{Kind: rollcall.SourceConfig, Name: "a", Problem: rollcall.ProblemInvalid}
	for _, tt := range []struct {
		name        string
		decision    rollcall.Decision
		grant, deny bool
	}{
		{"nobody", rollcall.Decision{Source: rollcall.Source{Kind: rollcall.SourceNobody}}, true, true},
		{"granted", rollcall.Decision{State: rollcall.Granted, Source: config, Setting: rollcall.Granted}, false, true},
		{"denied", rollcall.Decision{State: rollcall.Denied, Source: config, Setting: rollcall.Denied}, true, false},
		{"denied in the consent file", rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceConsentFile}}, true, false},
		{"withdrawn", rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceWithdrawal}, Setting: rollcall.Granted}, true, false},
		{"invalid", rollcall.Decision{State: rollcall.Denied, Source: invalid}, true, true},
		{"not saved", rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceProcess}}, true, true},
		{"policy", rollcall.Decision{State: rollcall.Denied, Source: policy}, false, false},
		{"policy, granted in the config", rollcall.Decision{State: rollcall.Denied, Source: policy, Setting: rollcall.Granted}, false, true},
		{"variable", rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceEnvironment}}, false, false},
		{"host", rollcall.Decision{State: rollcall.Granted, Source: hostSettings, Setting: rollcall.Granted}, false, true},
		{"host, denied", rollcall.Decision{State: rollcall.Denied, Source: hostSettings, Setting: rollcall.Denied}, true, false},
		{"host only", rollcall.Decision{State: rollcall.Granted, Source: hostSettings, Setting: rollcall.Granted, CannotDeny: true}, false, false},
		{"host only, denied", rollcall.Decision{State: rollcall.Denied, Source: hostSettings, Setting: rollcall.Denied, CannotGrant: true}, false, false},
		{"host only, nobody", rollcall.Decision{Source: nobody, CannotGrant: true, CannotDeny: true}, false, false},
		{"host only, withdrawn", rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceWithdrawal}, Setting: rollcall.Granted}, true, false},
		{"host only, policy", rollcall.Decision{State: rollcall.Denied, Source: policy, Setting: rollcall.Granted, CannotDeny: true}, false, false},
	} {
		if c := newConsentView(tt.decision, "rollcall enable"); c.CanGrant != tt.grant || c.CanDeny != tt.deny {
			t.Errorf("%s: got grant %v and deny %v, want %v and %v", tt.name, c.CanGrant, c.CanDeny, tt.grant, tt.deny)
		}
	}
}
