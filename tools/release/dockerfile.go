package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
)

// imageSettings returns the settings of an image from the final stage of a
// Dockerfile. The files that the stage copies are not its business.
func imageSettings(name string) (v1.Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return v1.Config{}, err
	}
	var config v1.Config
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if instruction == "" || strings.HasPrefix(instruction, "#") {
			continue
		}
		if err := apply(&config, instruction, strings.TrimSpace(rest)); err != nil {
			return v1.Config{}, fmt.Errorf("%s: %s: %w", name, instruction, err)
		}
	}
	return config, nil
}

func apply(config *v1.Config, instruction, rest string) error {
	switch instruction {
	case "FROM":
		*config = v1.Config{} // another stage
	case "ARG", "COPY", "RUN":
	case "WORKDIR":
		config.WorkingDir = rest
	case "USER":
		config.User = rest
	case "ENV":
		config.Env = append(config.Env, strings.Fields(rest)...)
	case "EXPOSE":
		config.ExposedPorts = map[string]struct{}{}
		for port := range strings.FieldsSeq(rest) {
			config.ExposedPorts[port+"/tcp"] = struct{}{}
		}
	case "ENTRYPOINT":
		return json.Unmarshal([]byte(rest), &config.Entrypoint)
	case "CMD":
		return json.Unmarshal([]byte(rest), &config.Cmd)
	case "HEALTHCHECK":
		options, command, ok := strings.Cut(rest, " CMD ")
		if !ok {
			return fmt.Errorf("no command in %q", rest)
		}
		return healthCheck(config, options, command)
	default:
		return fmt.Errorf("not known to make release")
	}
	return nil
}

func healthCheck(config *v1.Config, options, command string) error {
	check := &v1.HealthConfig{}
	config.Healthcheck = check
	for option := range strings.FieldsSeq(options) {
		name, value, _ := strings.Cut(option, "=")
		duration, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		switch name {
		case "--interval":
			check.Interval = duration
		case "--timeout":
			check.Timeout = duration
		case "--start-period":
			check.StartPeriod = duration
		default:
			return fmt.Errorf("unknown option %s", name)
		}
	}
	var args []string
	if err := json.Unmarshal([]byte(command), &args); err != nil {
		return err
	}
	check.Test = append([]string{"CMD"}, args...)
	return nil
}
