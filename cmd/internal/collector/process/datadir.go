package process

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// The names in a data folder.
const (
	dbName      = "rollcall.db"
	keyName     = "rollcall.key"
	controlName = "rollcall.control"
	acmeName    = "acme"
)

// secretLen is the length of a secret, in bytes.
const secretLen = 32

// The errors of a data folder.
var (
	// ErrNoData says that there is no collector in the folder.
	ErrNoData = errors.New("no collector has its data there")
	// ErrNoKey says that the store is there and its secret is not.
	ErrNoKey = errors.New("rollcall.key is missing, without which rollcall.db cannot be used")
	// ErrBadKey says that the file does not hold a secret.
	ErrBadKey = errors.New("rollcall.key does not hold a secret of 64 hexadecimal digits")
)

// prepareDir makes the folder if it is to be made, and looks whether there is a collector in it.
func prepareDir(dir string, create bool) error {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
		return nil
	}
	switch _, err := os.Stat(filepath.Join(dir, dbName)); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", dir, ErrNoData)
	case err != nil:
		return fmt.Errorf("open data folder: %w", err)
	}
	return nil
}

// readOrMakeSecret gives the secret, which it makes when neither it nor the store is there.
func readOrMakeSecret(dir string) ([]byte, error) {
	secret, err := readSecret(filepath.Join(dir, keyName))
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	switch _, err := os.Stat(filepath.Join(dir, dbName)); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrNoKey)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	secret = make([]byte, secretLen)
	rand.Read(secret)
	// Of two processes that start at once one makes the secret, and the other reads it.
	err = writeDurably(filepath.Join(dir, keyName), secretText(secret), false)
	if errors.Is(err, fs.ErrExist) {
		return readSecret(filepath.Join(dir, keyName))
	}
	if err != nil {
		return nil, fmt.Errorf("store secret: %w", err)
	}
	return secret, nil
}

// readSecret reads a key file.
func readSecret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	secret, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != secretLen {
		return nil, fmt.Errorf("%s: %w", file, ErrBadKey)
	}
	return secret, nil
}

// secretText is what a key file holds.
func secretText(secret []byte) []byte { return append(hex.AppendEncode(nil, secret), '\n') }

// writeDurably puts a file of mode 0600 in place, whole or not at all, and returns when it survives a power cut. Without
// replace it fails with fs.ErrExist when the file is there.
func writeDurably(file string, data []byte, replace bool) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // when it is not in its place by then
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(temporary.Name(), file)
	} else {
		err = os.Link(temporary.Name(), file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes the names in a folder durable, where a folder can be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
