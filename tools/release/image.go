package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// image writes an OCI archive with an image for each Linux that is built, with
// the content and settings of deploy/Dockerfile. It takes the certificates of
// authorities from a module, so that they do not depend on this machine.
func (r *release) image(context.Context) error {
	settings, err := imageSettings(filepath.Join(r.source, "deploy", "Dockerfile"))
	if err != nil {
		return err
	}
	settings.Labels = map[string]string{
		"org.opencontainers.image.title":    "rollcall",
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.source":   "https://github.com/rollcall-dev/rollcall",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	notices, err := os.ReadFile(filepath.Join(r.source, "cmd", "rollcall", "notices.txt"))
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range r.platforms {
		arch, ok := strings.CutPrefix(platform, "linux/")
		if !ok {
			continue
		}
		program, err := os.ReadFile(r.program(platform))
		if err != nil {
			return err
		}
		img, err := r.imageOf(arch, settings, program, notices)
		if err != nil {
			return fmt.Errorf("image for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		}})
	}
	dir := filepath.Join(r.work, "image")
	if _, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index, Descriptor: v1.Descriptor{
		Annotations: map[string]string{"org.opencontainers.image.ref.name": r.version},
	}})); err != nil {
		return err
	}
	var members []member
	err = filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		members = append(members, member{filepath.ToSlash(rel), 0o644, data})
		return err
	})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := r.tar(&archive, members); err != nil {
		return err
	}
	return write(filepath.Join(r.out, "rollcall-"+r.version+"-image.tar"), archive.Bytes())
}

func (r *release) imageOf(arch string, settings v1.Config, program, notices []byte) (v1.Image, error) {
	var content bytes.Buffer
	if err := r.imageLayer(&content, program, notices); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{
		Created: v1.Time{Time: r.time}, CreatedBy: "make release",
	}})
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.Config = "linux", arch, v1.Time{Time: r.time}, settings
	return mutate.ConfigFile(img, file)
}

// imageLayer writes what the final stage of the Dockerfile copies.
func (r *release) imageLayer(w io.Writer, program, notices []byte) error {
	const user = 65532
	t := tar.NewWriter(w)
	for _, f := range []struct {
		name  string
		mode  int64
		owner int
		data  []byte // nil for a directory
	}{
		{"config/", 0o755, user, nil},
		{"data/", 0o700, user, nil},
		{"etc/", 0o755, 0, nil},
		{"etc/ssl/", 0o755, 0, nil},
		{"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, authorities()},
		{"licenses/", 0o755, 0, nil},
		{"licenses/notices.txt", 0o644, 0, notices},
		{"rollcall", 0o755, 0, program},
	} {
		header := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.data)),
			ModTime: r.time, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// authorities returns the certificates in PEM form.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say for what one holds
		}
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
	}
	return text.Bytes()
}
