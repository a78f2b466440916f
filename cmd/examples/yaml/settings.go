package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/rollcall-dev/rollcall"
	"go.yaml.in/yaml/v3"
)

// settings are a YAML file that the program and its operator change. Comments
// and order stay.
type settings struct {
	path string
	mu   sync.Mutex // of the file
}

// The keys below telemetry.
const (
	keyID        = "installation_id"
	keyTelemetry = "enabled"
	keyHealth    = "health_enabled"
	keyUpdates   = "update_check"
)

func (s *settings) loadID(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, err := s.read()
	return values[keyID], err
}

func (s *settings) saveID(_ context.Context, id string) error {
	return s.change(map[string]string{keyID: id})
}

func (s *settings) loadConsents(context.Context) (rollcall.Consents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, err := s.read()
	return rollcall.Consents{
		Telemetry: consent(values[keyTelemetry]), Health: consent(values[keyHealth]), UpdateCheck: consent(values[keyUpdates]),
	}, err
}

func (s *settings) saveConsents(_ context.Context, c rollcall.Consents) error {
	changes := map[string]string{}
	for key, state := range map[string]rollcall.Consent{keyTelemetry: c.Telemetry, keyHealth: c.Health, keyUpdates: c.UpdateCheck} {
		if state != rollcall.Unset {
			changes[key] = strconv.FormatBool(state == rollcall.Granted)
		}
	}
	return s.change(changes)
}

// consent returns what a value decides. What is neither true nor absent denies.
func consent(value string) rollcall.Consent {
	switch value {
	case "", "null", "~":
		return rollcall.Unset
	case "true":
		return rollcall.Granted
	default:
		return rollcall.Denied
	}
}

// read returns the values below telemetry.
func (s *settings) read() (map[string]string, error) {
	document, err := s.parse()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	section := member(document.Content[0], "telemetry", yaml.MappingNode)
	for i := 0; i+1 < len(section.Content); i += 2 {
		values[section.Content[i].Value] = section.Content[i+1].Value
	}
	return values, nil
}

// change sets values below telemetry, and writes the file if that changes it.
func (s *settings) change(changes map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	document, err := s.parse()
	if err != nil {
		return err
	}
	section := member(document.Content[0], "telemetry", yaml.MappingNode)
	for key, value := range changes {
		member(section, key, yaml.ScalarNode).SetString(value)
		if key != keyID {
			member(section, key, yaml.ScalarNode).Tag = "!!bool"
		}
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return err
	}
	return replaceFile(s.path, text.Bytes())
}

func (s *settings) parse() (*yaml.Node, error) {
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	document := new(yaml.Node)
	if err := yaml.Unmarshal(text, document); err != nil {
		return nil, err
	}
	if document.Kind == 0 { // empty
		*document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New(s.path + ": not a mapping")
	}
	return document, nil
}

// member returns the value of a key in a mapping, and adds one if there is none.
func member(mapping *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	value := &yaml.Node{Kind: kind}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	return value
}

// replaceFile writes a file so that a reader sees the old content or the new.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".settings-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
