// Release builds everything that a release consists of, from the commit that
// is checked out: archives with the program for each system, man pages, and
// notices; an SBOM of each; packages for Debian and Fedora; an image; a Helm
// chart; manifests for Kubernetes; and SHA256SUMS. It builds all of it a second
// time in another directory with an empty cache, and compares every byte.
//
//	make release VERSION=v0.1.0
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// semver is what a release is named. Packages sort pre-releases before it.
var semver = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.]+)?$`)

// A release is one build of everything.
type release struct {
	version   string // such as v0.1.0
	platforms []string
	changes   bool   // whether to build the work tree instead of the commit
	source    string // a clone of the repository
	cache     string // GOCACHE, "" for the user's
	sbom      string // the tool cyclonedx-gomod
	out       string // where the files go
	work      string // for what is not released by itself
	commit    string
	time      time.Time // of the commit; all files bear it
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "version, such as v0.1.0")
	platforms := flags.String("platforms", "linux/amd64", "systems to build for, separated by spaces")
	root := flags.String("root", "../..", "top of the repository")
	out := flags.String("out", "../../dist", "where the files go; it is emptied first")
	changes := flags.Bool("changes", false, "include changes that are not committed, for tests of the packages")
	sbom := flags.String("sbom", "../../bin/cyclonedx-gomod", "the tool that writes SBOMs")
	cache := flags.String("second-cache", "", "build cache of the second build; by default an empty one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !semver.MatchString(*version) {
		return fmt.Errorf("%q is no version: name one such as v0.1.0", *version)
	}
	temp, err := os.MkdirTemp("", "rollcall-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for _, name := range []*string{root, out, sbom} {
		if *name, err = filepath.Abs(*name); err != nil {
			return err
		}
	}
	if changed, err := output(ctx, *root, "git", "status", "--porcelain"); err != nil {
		return err
	} else if changed != "" && !*changes {
		fmt.Fprintln(os.Stderr, "release: changes that are not committed are left out")
	}
	// The paths differ in length, so that a path in a binary is noticed.
	first := release{version: *version, platforms: strings.Fields(*platforms), sbom: *sbom, changes: *changes,
		source: filepath.Join(temp, "1"), out: *out, work: filepath.Join(temp, "work-1")}
	second := first
	second.source, second.out, second.work = filepath.Join(temp, "second", "source"), filepath.Join(temp, "again"), filepath.Join(temp, "work-2")
	second.cache = *cache
	if second.cache == "" {
		second.cache = filepath.Join(temp, "cache")
	}
	if err := first.build(ctx, *root); err != nil {
		return err
	}
	// From the first one's sources: somebody may commit meanwhile.
	if err := second.build(ctx, first.source); err != nil {
		return err
	}
	if err := same(first.out, second.out); err != nil {
		return fmt.Errorf("built twice, and not the same: %w", err)
	}
	return list(os.Stdout, first.out)
}

// build clones the repository and builds everything into out.
func (r *release) build(ctx context.Context, root string) error {
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o777), os.MkdirAll(r.work, 0o777)); err != nil {
		return err
	}
	if _, err := output(ctx, root, "git", "clone", "--quiet", "--no-local", "--depth", "1", "file://"+root, r.source); err != nil {
		return err
	}
	if r.changes {
		if err := copyChanges(ctx, root, r.source); err != nil {
			return err
		}
	}
	stamp, err := output(ctx, r.source, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return err
	}
	commit, seconds, _ := strings.Cut(stamp, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	r.commit, r.time = commit, time.Unix(unix, 0).UTC()
	for _, step := range []func(context.Context) error{
		r.programs, r.manuals, r.archives, r.sboms, r.packages, r.image, r.charts, r.sums,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// copyChanges makes a clone have the files of the work tree.
func copyChanges(ctx context.Context, root, clone string) error {
	names, err := output(ctx, root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		source, target := filepath.Join(root, name), filepath.Join(clone, name)
		info, err := os.Stat(source)
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.Remove(target); err != nil {
				return err
			}
			continue
		} else if err != nil {
			return err
		}
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := write(target, data); err != nil {
			return err
		}
		if err := os.Chmod(target, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// name returns the name of a released file for a platform.
func (r *release) name(platform, end string) string {
	return filepath.Join(r.out, "rollcall-"+r.version+"-"+strings.ReplaceAll(platform, "/", "-")+end)
}

// same compares two directories.
func same(a, b string) error {
	var names []string
	for _, dir := range []string{a, b} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
	}
	for _, name := range names {
		one, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			return err
		}
		other, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(one, other) {
			return fmt.Errorf("%s (%d and %d bytes)", name, len(one), len(other))
		}
	}
	return nil
}

// list prints the sizes of the files.
func list(w *os.File, dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%6.1f MB  %s\n", float64(info.Size())/1e6, name)
		return err
	})
}

// output runs a command and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	return outputEnv(ctx, dir, nil, name, args...)
}

func outputEnv(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String()), nil
}
