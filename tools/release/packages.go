package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// packages builds a .deb and an .rpm for each Linux, as deploy/nfpm.yaml says.
func (r *release) packages(context.Context) error {
	if err := r.packagedUnits(); err != nil {
		return err
	}
	for _, platform := range r.platforms {
		arch, ok := strings.CutPrefix(platform, "linux/")
		if !ok {
			continue
		}
		values := map[string]string{
			"VERSION": r.version, "ARCH": arch, "PROGRAM": r.program(platform), "SOURCE": r.source, "WORK": r.work,
		}
		config, err := nfpm.ParseFileWithEnvMapping(filepath.Join(r.source, "deploy", "nfpm.yaml"),
			func(name string) string { return values[name] })
		if err != nil {
			return err
		}
		for _, format := range []string{"deb", "rpm"} {
			if err := r.pack(&config, format); err != nil {
				return fmt.Errorf("%s for %s: %w", format, arch, err)
			}
		}
	}
	return nil
}

func (r *release) pack(config *nfpm.Config, format string) error {
	info, err := config.Get(format)
	if err != nil {
		return err
	}
	info = nfpm.WithDefaults(info)
	info.MTime = r.time
	for _, script := range []*string{&info.Scripts.PostInstall, &info.Scripts.PreRemove, &info.Scripts.PostRemove} {
		*script = filepath.Join(r.source, *script) // nfpm puts no values in here
	}
	for _, content := range info.Contents {
		if content.FileInfo != nil && content.FileInfo.MTime.IsZero() {
			content.FileInfo.MTime = r.time
		}
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	name := filepath.Join(r.out, packager.ConventionalFileName(info))
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := packager.Package(info, file); err != nil {
		return err
	}
	return file.Close()
}

// packagedUnits makes the units of packages: the program lies in /usr/bin, and
// the unit itself where a package puts it.
func (r *release) packagedUnits() error {
	names, err := filepath.Glob(filepath.Join(r.source, "deploy", "*.service"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no units: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		_, unit, ok := strings.Cut(string(text), "[Unit]\n") // without the comment on how to install it
		if !ok {
			return fmt.Errorf("%s: no [Unit]", name)
		}
		unit = "[Unit]\n" + strings.ReplaceAll(unit, "/usr/local/bin/rollcall", "/usr/bin/rollcall")
		if err := write(filepath.Join(r.work, "units", filepath.Base(name)), []byte(unit)); err != nil {
			return err
		}
	}
	return nil
}
