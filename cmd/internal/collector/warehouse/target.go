package warehouse

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// A Target holds files by names with slashes.
type Target interface {
	// Exists reports whether a file is complete.
	Exists(ctx context.Context, name string) (bool, error)
	// Put writes a file. Nobody ever reads part of it.
	Put(ctx context.Context, name string, data []byte) error
	// String names the target in messages, without credentials.
	String() string
}

// OpenTarget returns the target that text names: s3://BUCKET/PREFIX, or else a
// directory, which is created when the first file is written. It reaches nothing.
// Getenv returns environment variables: those of the AWS command line are used.
func OpenTarget(text string, getenv func(string) string) (Target, error) {
	switch {
	case text == "":
		return nil, errors.New("empty")
	case strings.HasPrefix(text, "s3://"):
		return openBucket(text, getenv)
	case strings.Contains(text, "://"):
		return nil, errors.New("neither a directory nor s3://BUCKET/PREFIX")
	}
	return directory(text), nil
}

type directory string

func (d directory) String() string { return string(d) }

func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d directory) Exists(_ context.Context, name string) (bool, error) {
	_, err := os.Stat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d directory) Put(_ context.Context, name string, data []byte) error {
	file := d.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return durable.Replace(file, data)
}
