package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

// loadTimeout bounds how long a verb waits for what the host set.
const loadTimeout = 2 * time.Second

// maxDeclarationBytes bounds a file of declarations.
const maxDeclarationBytes = 256 << 10

// factsFlag names the file that declares the facts of the host beside the agent.
type factsFlag struct {
	file string
	host *agent.Host // after apply
}

func (f *factsFlag) add(cmd *cobra.Command) {
	addFlag(cmd.Flags(), textValue(&f.file, "file", ""), "facts",
		"the facts that the host declares, in the form of collector app declare; the host sets their values with PUT /v1/facts")
	completeFile(cmd, "facts", "json")
}

// apply adds the facts to a config, with the values that the host set.
func (f *factsFlag) apply(cmd *cobra.Command, c *rollcall.Config) error {
	var declaration *report.Declaration
	if f.file != "" {
		data, err := readDeclaration(cmd, f.file)
		if err == nil {
			declaration, err = report.ParseDeclaration(data)
		}
		if err != nil {
			return fmt.Errorf("--facts: %w", err)
		}
	}
	f.host = agent.NewHost(declaration, c.Version)
	c.Facts = f.host.Facts()
	return nil
}

// newService returns the service of a config with the facts, and the version
// that the host set.
func (f *factsFlag) newService(cmd *cobra.Command, config rollcall.Config) (*rollcall.Service, error) {
	service, err := rollcall.New(config)
	if err != nil {
		return nil, inFlags(cmd, err)
	}
	f.host.Use(service)
	ctx, cancel := context.WithTimeout(cmd.Context(), loadTimeout)
	defer cancel()
	if err := f.host.Load(ctx); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: without what the host set: %v\n", err)
	}
	return service, nil
}

// readDeclaration reads a file of declarations, or standard input for "-".
func readDeclaration(cmd *cobra.Command, name string) ([]byte, error) {
	data, err := readInput(cmd, name, "the host's library", maxDeclarationBytes)
	if err != nil {
		return nil, fmt.Errorf("read declaration: %w", err)
	}
	return data, nil
}
