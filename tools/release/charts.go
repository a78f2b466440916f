package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unreleased is the version in the chart and the manifests of the repository.
const unreleased = "0.0.0-dev"

// charts packs the Helm chart, and copies the manifests. Both name the version.
func (r *release) charts(context.Context) error {
	version := strings.TrimPrefix(r.version, "v")
	dir := filepath.Join(r.source, "deploy", "chart")
	var members []member
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if entry.Name() == "Chart.yaml" {
			if !bytes.Contains(data, []byte(unreleased)) {
				return fmt.Errorf("%s does not have the version %s", name, unreleased)
			}
			data = bytes.ReplaceAll(data, []byte(unreleased), []byte(version))
		}
		members = append(members, member{path.Join("rollcall", filepath.ToSlash(rel)), 0o644, data})
		return err
	})
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := r.tarGzip(&packed, members); err != nil {
		return err
	}
	if err := write(filepath.Join(r.out, "rollcall-chart-"+version+".tgz"), packed.Bytes()); err != nil {
		return err
	}
	manifests, err := filepath.Glob(filepath.Join(r.source, "deploy", "kubernetes*.yaml"))
	if err != nil || len(manifests) == 0 {
		return fmt.Errorf("no manifests: %v", err)
	}
	for _, name := range manifests {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data = bytes.ReplaceAll(data, []byte(unreleased), []byte(version))
		if err := write(filepath.Join(r.out, "rollcall-"+r.version+"-"+filepath.Base(name)), data); err != nil {
			return err
		}
	}
	return nil
}
