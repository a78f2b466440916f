package datadir

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// secretLen is the length of a secret in bytes.
const secretLen = 32

// Errors of the secret.
var (
	// ErrNoSecret means that the database exists without its secret.
	ErrNoSecret = errors.New("rollcall.key is missing, without which rollcall.db cannot be used")
	// ErrBadSecret means that the file does not hold a secret.
	ErrBadSecret = errors.New("rollcall.key does not hold a secret of 64 hexadecimal digits")
)

// readOrCreateSecret returns the secret of a data directory, and creates it if
// neither it nor the database exists.
func readOrCreateSecret(dir string) ([]byte, error) {
	file := filepath.Join(dir, SecretFile)
	secret, err := readSecret(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	switch _, err := os.Stat(filepath.Join(dir, DatabaseFile)); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrNoSecret)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	secret = make([]byte, secretLen)
	rand.Read(secret)
	err = durable.Create(file, secretText(secret))
	if errors.Is(err, fs.ErrExist) {
		return readSecret(file) // another process that starts now was first
	}
	if err != nil {
		return nil, fmt.Errorf("create secret: %w", err)
	}
	return secret, nil
}

func readSecret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	secret, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != secretLen {
		return nil, fmt.Errorf("%s: %w", file, ErrBadSecret)
	}
	return secret, nil
}

func secretText(secret []byte) []byte { return append(hex.AppendEncode(nil, secret), '\n') }

// CopySecret copies the secret of a data directory to another directory, where
// it must not exist.
func CopySecret(from, to string) error {
	secret, err := readSecret(filepath.Join(from, SecretFile))
	if err != nil {
		return err
	}
	return durable.Create(filepath.Join(to, SecretFile), secretText(secret))
}
