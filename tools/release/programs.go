package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// program returns the path of the program for a platform.
func (r *release) program(platform string) string {
	name := filepath.Join(r.work, strings.ReplaceAll(platform, "/", "-"), "rollcall")
	if strings.HasPrefix(platform, "windows/") {
		name += ".exe"
	}
	return name
}

// programs builds the program for each system, and for this one.
func (r *release) programs(ctx context.Context) error {
	for _, platform := range r.platforms {
		if err := r.compile(ctx, platform); err != nil {
			return err
		}
	}
	return r.compile(ctx, host)
}

const host = runtime.GOOS + "/" + runtime.GOARCH

func (r *release) compile(ctx context.Context, platform string) error {
	if _, err := os.Stat(r.program(platform)); err == nil {
		return nil // this system is one of those
	}
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is no platform: name one such as linux/amd64", platform)
	}
	env := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + arch, "GOFLAGS=", "GOWORK="}
	if r.cache != "" {
		env = append(env, "GOCACHE="+r.cache)
	}
	_, err := outputEnv(ctx, r.source, env, "go", "build", "-trimpath", "-buildvcs=true",
		"-ldflags", "-s -w -X main.version="+r.version, "-o", r.program(platform), "./cmd/rollcall")
	return err
}

// manuals writes the man pages and completions with the program itself.
func (r *release) manuals(ctx context.Context) error {
	if _, err := output(ctx, r.work, r.program(host), "man", filepath.Join(r.work, "man")); err != nil {
		return err
	}
	for shell, name := range map[string]string{"bash": "rollcall", "zsh": "_rollcall", "fish": "rollcall.fish"} {
		text, err := output(ctx, r.work, r.program(host), "completion", shell)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(r.work, "completion", shell, name), []byte(text+"\n")); err != nil {
			return err
		}
	}
	pages, err := filepath.Glob(filepath.Join(r.work, "man", "*.1"))
	if err != nil || len(pages) == 0 {
		return fmt.Errorf("no man pages: %v", err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		if err := compress(&packed, text); err != nil {
			return err
		}
		if err := write(filepath.Join(r.work, "man-gz", filepath.Base(page)+".gz"), packed.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// compress packs a file without a name and time.
func compress(w io.Writer, data []byte) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	return z.Close()
}

// A member is a file in an archive.
type member struct {
	name string // with slashes
	mode int64
	data []byte
}

// archives packs what a machine without packages needs: the program, the
// notices, the man pages, completions, and the definitions of services.
func (r *release) archives(context.Context) error {
	common, err := r.shared()
	if err != nil {
		return err
	}
	for _, platform := range r.platforms {
		program, err := os.ReadFile(r.program(platform))
		if err != nil {
			return err
		}
		top := filepath.Base(r.name(platform, ""))
		members := []member{{path.Join(top, filepath.Base(r.program(platform))), 0o755, program}}
		for _, m := range common {
			members = append(members, member{path.Join(top, m.name), m.mode, m.data})
		}
		var packed bytes.Buffer
		end, pack := ".tar.gz", r.tarGzip
		if strings.HasPrefix(platform, "windows/") {
			end, pack = ".zip", r.zip
		}
		if err := pack(&packed, members); err != nil {
			return err
		}
		if err := write(r.name(platform, end), packed.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// shared returns the files of every archive.
func (r *release) shared() (members []member, err error) {
	for _, from := range []struct{ dir, pattern, to string }{
		{r.source, "LICENSE", "."}, {r.source, "README.md", "."}, {r.source, "CHANGELOG.md", "."},
		{filepath.Join(r.source, "cmd", "rollcall"), "notices.txt", "."},
		{filepath.Join(r.source, "deploy"), "*.service", "services"},
		{filepath.Join(r.source, "deploy"), "*.plist", "services"},
		{filepath.Join(r.work, "man"), "*.1", "man"},
		{filepath.Join(r.work, "completion"), "*/*", "completions"},
	} {
		names, err := filepath.Glob(filepath.Join(from.dir, from.pattern))
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("no %s in %s", from.pattern, from.dir)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			members = append(members, member{path.Join(from.to, filepath.Base(name)), 0o644, data})
		}
	}
	return members, nil
}

func (r *release) tarGzip(w io.Writer, members []member) error {
	var plain bytes.Buffer
	if err := r.tar(&plain, members); err != nil {
		return err
	}
	return compress(w, plain.Bytes())
}

func (r *release) tar(w io.Writer, members []member) error {
	t := tar.NewWriter(w)
	for _, m := range members {
		header := &tar.Header{Name: m.name, Mode: m.mode, Size: int64(len(m.data)), ModTime: r.time, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.Write(m.data); err != nil {
			return err
		}
	}
	return t.Close()
}

func (r *release) zip(w io.Writer, members []member) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		header := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: r.time}
		file, err := z.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := file.Write(m.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// sboms lists what is linked into each program, from the program itself.
func (r *release) sboms(ctx context.Context) error {
	for _, platform := range r.platforms {
		_, err := output(ctx, r.source, r.sbom, "bin", "-json", "-noserial", "-notimestamp", "-std", "-licenses",
			"-version", r.version, "-output", r.name(platform, ".cdx.json"), r.program(platform))
		if err != nil {
			return err
		}
	}
	return nil
}

// sums writes SHA256SUMS, in the form that sha256sum -c checks.
func (r *release) sums(context.Context) error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), entry.Name())
	}
	return write(filepath.Join(r.out, "SHA256SUMS"), []byte(lines.String()))
}

// write writes a file, and makes its directory.
func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}
