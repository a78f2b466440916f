package packages

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The template for several agents has all that protects the unit of one agent.
func TestTemplate(t *testing.T) {
	one, several := serviceLines(t, "rollcall-agent.service"), serviceLines(t, "rollcall-agent@.service")
	own := regexp.MustCompile(`^(Environment|EnvironmentFile|StateDirectory)=`) // which names the instance
	if len(one) < 30 {
		t.Fatalf("got only %q", one)
	}
	for _, line := range one {
		if !own.MatchString(line) && !slices.Contains(several, line) {
			t.Errorf("rollcall-agent@.service lacks %s", line)
		}
	}
	// Two instances share neither a directory nor a socket.
	for _, line := range several {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "StateDirectory", "RuntimeDirectory":
			if !strings.Contains(value, "%i") {
				t.Errorf("all instances have %s", line)
			}
		case "Environment":
			if (strings.HasPrefix(value, "ROLLCALL_CONFIG=") || strings.HasPrefix(value, "ROLLCALL_LISTEN=")) && !strings.Contains(value, "%i") {
				t.Errorf("all instances have %s", line)
			}
		}
	}
}

// serviceLines returns the settings of the section [Service].
func serviceLines(t *testing.T, unit string) (lines []string) {
	t.Helper()
	_, section, ok := strings.Cut(read(t, filepath.Join(root, "deploy", unit)), "\n[Service]\n")
	if !ok {
		t.Fatalf("%s has no [Service]", unit)
	}
	section, _, _ = strings.Cut(section, "\n[")
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// systemd itself finds nothing wrong with the units.
func TestUnits(t *testing.T) {
	lab.Need(t, lab.Root, lab.Tool("systemd-analyze"))
	dir := lab.Container(t) // where the program is installed
	must(t, os.WriteFile(filepath.Join(dir, "usr", "local", "bin", "rollcall"), []byte("#!/bin/sh\n"), 0o755))
	for _, name := range []string{"rollcall-agent.service", "rollcall-agent@.service", "rollcall-collector.service"} {
		file := strings.Replace(name, "@", "@myapp", 1)
		write(t, filepath.Join(dir, "etc", "systemd", "system", file), read(t, filepath.Join(root, "deploy", name)))
		cmd := command(t, "/", "systemd-analyze", "verify", "--man=no", "/etc/systemd/system/"+file)
		lab.InContainer(cmd, dir)
		out, err := tryRun(cmd)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, "rollcall") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// What launchd would start runs, and stops, with the settings of the plist.
// launchd itself is not here.
func TestLaunchd(t *testing.T) {
	lab.Need(t, lab.Root)
	list := readPlist(t, filepath.Join(root, "deploy", "rollcall-agent.plist"))
	if list.texts["Label"] != "dev.rollcall.agent" || list.texts["UserName"] == "" {
		t.Errorf("got %v", list.texts)
	}
	dir := t.TempDir()
	build(t, dir)
	const program, state = "/usr/local/bin/rollcall", "/usr/local/var/rollcall"
	args := list.arrays["ProgramArguments"]
	if len(args) == 0 || args[0] != program {
		t.Fatalf("got the arguments %q", args)
	}
	if log := list.texts["StandardErrorPath"]; filepath.Dir(log) != state {
		t.Errorf("the log is %q, outside of the directory that the user may write to", log)
	}
	config := list.texts["EnvironmentVariables/ROLLCALL_CONFIG"]
	if filepath.Dir(config) != state {
		t.Fatalf("got the config %q", config)
	}
	config = filepath.Join(dir, filepath.Base(config))
	socket := filepath.Join(dir, "agent.sock")
	cmd := command(t, dir, filepath.Join(dir, "rollcall"), args[1:]...)
	cmd.Env = []string{"ROLLCALL_CONFIG=" + config, "ROLLCALL_LISTEN=unix:" + socket, "ROLLCALL_TRUST_DISK=true"} // launchd passes nothing else
	must(t, cmd.Start())
	eventually(t, "the ID in "+config, func() bool {
		text, err := os.ReadFile(config)
		return err == nil && strings.Contains(string(text), "installation_id")
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, so that launchd would restart it", err)
	}
}

// A plist has the values of a property list by key: of dictionaries within, as
// in "Outer/Key".
type plist struct {
	texts  map[string]string
	arrays map[string][]string
}

func readPlist(t *testing.T, name string) plist {
	t.Helper()
	list := plist{map[string]string{}, map[string][]string{}}
	decoder := xml.NewDecoder(strings.NewReader(read(t, name)))
	var path []string // of the dictionaries
	key, inArray := "", false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		must(t, err)
		switch element := token.(type) {
		case xml.StartElement:
			text := ""
			switch element.Name.Local {
			case "plist":
			case "dict":
				path, key = append(path, key), ""
			case "array":
				inArray = true
			case "key":
				must(t, decoder.DecodeElement(&key, &element))
			case "string", "integer", "true", "false":
				must(t, decoder.DecodeElement(&text, &element))
				full := strings.TrimPrefix(strings.Join(append(slices.Clone(path[1:]), key), "/"), "/")
				if inArray {
					list.arrays[full] = append(list.arrays[full], text)
				} else {
					list.texts[full] = text
				}
			default:
				t.Fatalf("%s: unknown element %s", name, element.Name.Local)
			}
		case xml.EndElement:
			switch element.Name.Local {
			case "dict":
				path = path[:len(path)-1]
			case "array":
				inArray = false
			}
		}
	}
}
