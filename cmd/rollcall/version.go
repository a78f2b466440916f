package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by release builds with -ldflags "-X main.version=v1.2.3".
// Otherwise it comes from the build information.
var version string

func newVersion() *cobra.Command {
	var out output
	return with(&cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return out.printf(cmd, buildVersion(), "%s\n", versionLine())
		},
	}, &out)
}

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionLine() string {
	v := buildVersion()
	return fmt.Sprintf("rollcall %s %s %s", v.Version, v.Go, v.Platform)
}

func buildVersion() versionInfo {
	v := versionInfo{
		Version: version, Revision: buildSetting("vcs.revision"),
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(v.Version, build.Main.Version)
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "devel"
	}
	return v
}

// buildSetting returns a setting of the build, or "" if the program does not
// know it.
func buildSetting(key string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}

// noticesText contains the licences and notices of everything that is
// linked into the program. TestNotices generates and checks it.
//
//go:embed notices.txt
var noticesText string

func newLicenses() *cobra.Command {
	return &cobra.Command{
		Use:   "licenses",
		Short: "Print the licences of the software in this program",
		Long: `Print the licences and notices of this program, of the Go standard library, and
of all modules linked into the program, with their versions.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), noticesText)
			return err
		},
	}
}
