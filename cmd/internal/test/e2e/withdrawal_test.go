//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// grantedConfig is plainConfig with telemetry granted and an ID.
var grantedConfig = strings.Replace(withID(plainConfig, knownID), "false", "true", 1)

// TestD21WithdrawalReal denies and resets on disks with faults, and lets the host
// save what it had in memory. What was recorded holds in the next process. What
// could not be recorded is an error, and a denial holds in this process.
func TestD21WithdrawalReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		site    func(t *testing.T) *site
		repair  func(t *testing.T, s *site) // nil if the order can be recorded
		keepsID bool                        // the host cannot save either
	}{
		{"no faults", func(t *testing.T) *site { return siteIn(t, t.TempDir(), grantedConfig) }, nil, false},
		{"read-only mode", func(t *testing.T) *site {
			s := siteIn(t, t.TempDir(), grantedConfig)
			must(t, os.Chmod(s.config, 0o444))
			return s
		}, nil, true},
		{"config mounted by itself", func(t *testing.T) *site {
			s := siteIn(t, t.TempDir(), grantedConfig)
			lab.BindFile(t, s.config)
			return s
		}, nil, false},
		{"no links, no exchange", func(t *testing.T) *site {
			s := newFaultSite(t, grantedConfig)
			s.faults.Fail(lab.Link, "", unix.EIO, lab.Always)
			s.faults.Fail(lab.Exchange, "", unix.EINVAL, lab.Always)
			return s
		}, nil, false},
		{"full disk", func(t *testing.T) *site {
			s := siteIn(t, lab.Tmpfs(t, "size=64k"), grantedConfig)
			fill(t, filepath.Join(s.dir, "filler"))
			return s
		}, func(t *testing.T, s *site) { must(t, os.Remove(filepath.Join(s.dir, "filler"))) }, false},
		{"disk fails", func(t *testing.T) *site {
			s := newFaultSite(t, grantedConfig)
			s.faults.Fail(lab.Fsync, "", unix.EIO, lab.Always)
			return s
		}, func(_ *testing.T, s *site) { s.faults.Reset() }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.site(t)
			decision := func(service *rollcall.Service) rollcall.Decision { return service.Decisions(t.Context()).Telemetry }
			service := s.newService()
			if d := decision(service); d.State != rollcall.Granted {
				t.Fatalf("got %+v before", d)
			}
			if tt.repair != nil {
				if err := service.SetConsent(t.Context(), false); err == nil {
					t.Error("no error from a denial that cannot be recorded")
				}
				if d := decision(service); d.State != rollcall.Denied || d.Source.Kind != rollcall.SourceProcess {
					t.Errorf("got %+v in this process", d)
				}
				if id, err := s.newService().Reset(t.Context()); err == nil {
					t.Errorf("got ID %v from a reset that cannot be recorded", id)
				}
				s.wantConfig(grantedConfig)
				tt.repair(t, s)
			}
			if err := service.SetConsent(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if _, err := service.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !tt.keepsID {
				s.write("config.json", grantedConfig)
			}
			next := s.newService()
			if d := decision(next); d.State != rollcall.Denied || d.Source.Kind != rollcall.SourceWithdrawal || d.Setting != rollcall.Granted {
				t.Errorf("got %+v in the next process", d)
			}
			stored, err := (rollcall.Config{ConfigPath: s.config}).Stored(t.Context())
			if err != nil || stored.ID.IsZero() || stored.ID.String() == knownID {
				t.Errorf("got ID %v, %v", stored.ID, err)
			}
			if tt.keepsID {
				must(t, os.Chmod(s.config, 0o644))
			}
			if err := next.SetConsent(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if d := decision(s.newService()); d.State != rollcall.Granted {
				t.Errorf("got %+v after a grant", d)
			}
		})
	}
}

// newService returns a service that is not started, as a verb has it.
func (s *site) newService() *rollcall.Service {
	s.t.Helper()
	service, err := rollcall.New(rollcall.Config{
		ConfigPath: s.config, Consent: rollcall.ConsentConfig{PolicyPath: filepath.Join(s.dir, "no-policy.json")},
	})
	must(s.t, err)
	return service
}
