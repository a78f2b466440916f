package main

import (
	"io/fs"
	"slices"
	"testing"
)

func TestListenFlag(t *testing.T) {
	for _, tt := range []struct {
		given []string
		want  []string
		shown string
	}{
		{nil, []string{defaultListen}, "127.0.0.1:8946"},
		{[]string{"off"}, nil, "off"},
		{[]string{""}, nil, "off"},
		{[]string{":8946"}, []string{":8946"}, ":8946"},
		{[]string{"127.0.0.1:1, unix:/run/s"}, []string{"127.0.0.1:1", "unix:/run/s"}, "127.0.0.1:1,unix:/run/s"},
		{[]string{"127.0.0.1:1", "unix:/run/s"}, []string{"127.0.0.1:1", "unix:/run/s"}, "127.0.0.1:1,unix:/run/s"},
	} {
		var got []string
		value := listenValue(&got)
		for _, text := range tt.given {
			if err := value.Set(text); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(got, tt.want) || value.String() != tt.shown {
			t.Errorf("%q: got %q, shown as %q, want %q, shown as %q", tt.given, got, value, tt.want, tt.shown)
		}
	}
}

// TestAgentURL: where an agent on this machine is asked that listens there.
func TestAgentURL(t *testing.T) {
	for _, tt := range []struct {
		listen []string
		want   string
	}{
		{nil, ""},
		{[]string{"127.0.0.1:8946"}, "http://127.0.0.1:8946"},
		{[]string{":8946"}, "http://127.0.0.1:8946"}, // of the image, whose health check this is
		{[]string{"0.0.0.0:1"}, "http://127.0.0.1:1"},
		{[]string{"[::]:1"}, "http://127.0.0.1:1"},
		{[]string{"[::1]:1"}, "http://[::1]:1"},
		{[]string{"agent.internal:1"}, "http://agent.internal:1"},
		{[]string{"unix:/run/s"}, "unix:/run/s"},
		{[]string{"unix:/run/s", "unix:/run/t", "127.0.0.1:1"}, "http://127.0.0.1:1"},
		{[]string{"nonsense"}, ""},
	} {
		if got := agentURL(tt.listen); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.listen, got, tt.want)
		}
	}
}

func TestModeFlag(t *testing.T) {
	var mode fs.FileMode
	value := modeValue(&mode, 0o600)
	if mode != 0o600 || value.String() != "0600" {
		t.Errorf("got %v, shown as %s", mode, value)
	}
	for text, want := range map[string]fs.FileMode{"0660": 0o660, "666": 0o666, "777": 0o777} {
		if err := value.Set(text); err != nil || mode != want {
			t.Errorf("%s: got %v, %v", text, mode, err)
		}
	}
	for _, text := range []string{"", "0", "rw", "800", "1777", "-1", "0x1ff"} {
		if err := value.Set(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
