package keeper_test

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestRefusedConfig is C1, C4 and C9: the config is never written, a warning is
// logged, and the ID serves from memory, at once or after the attempts.
func TestRefusedConfig(t *testing.T) {
	tests := []struct {
		name, config string
		says         string
		retried      bool // the end may still be written
	}{
		{"truncated", `{"port": 80`, "line 1, column 12: unexpected end of file", true},
		{"truncated on the third line", "{\n\"a\": 1,\n\"b\": \"x", "line 3, column 8: unexpected end of file", true},
		{"garbage", "{\n  \"port\": 80,\n  port\n}", "line 3, column 3: ", false},
		{"trailing garbage", "{}\n}", "line 2, column 1: ", false},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", "line 1, column 1: ", false},
		{"UTF-16", "\xff\xfe{\x00}\x00", "line 1, column 1: looks like UTF-16", false},
		{"invalid UTF-8", "{\"a\": \"\xff\"}", "line 1, column 8: invalid UTF-8", false},
		{"YAML", "port: 80\n", "line 1, column 1: ", false},
		{"an array", "[1, 2]", "top level: not an object", false},
		{"a string", `"installation_id"`, "top level: not an object", false},
		{"null", "null", "top level: not an object", false},
		{"telemetry is a boolean", `{"telemetry": true}`, "telemetry: not an object", false},
		{"telemetry is an array", `{"telemetry": []}`, "telemetry: not an object", false},
		{"telemetry twice", `{"telemetry": {}, "telemetry": {}}`, "line 1, column 19: ", false},
		{"telemetry twice, escaped", `{"telemetry": {}, "telemetr\u0079": {}}`, "line 1, column 19: ", false},
		{"consent twice", `{"telemetry": {"enabled": true, "enabled": false}}`, "line 1, column 33: ", false},
		{"nested 100,000 deep", strings.Repeat("[", 100_000), "nested deeper than", false},
		{"50 MB", `{"a": "` + strings.Repeat("x", 50<<20) + `"}`, "larger than", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.config)
				k := r.start()
				why := "*" + tt.says + "*"
				lines := []string{failed(why, 1)}
				if tt.retried {
					lines = append(lines, failed(why, 2), failed(why, 3))
				} else if d := time.Since(r.log.begin); d > 100*time.Millisecond {
					t.Errorf("Start took %v", d)
				}
				lines = append(lines, generated(k.ID()), inMemory(k.ID(), why), started(false))
				if strings.Contains(tt.says, "not an object") { // found when the ID is saved
					lines[0], lines[1] = lines[1], lines[0]
				}
				r.log.want(lines...)
				r.wantState(k, k.ID().String(), false)
				if st := k.Status(); !strings.Contains(st.Reason, tt.says) || st.Unread != (st.Provisional) {
					t.Errorf("got %+v", st)
				}
				time.Sleep(2 * time.Hour)
				r.wantNoMutation()
			})
		})
	}
}

// TestNothing is C11: null is absence, and a plain denial in place of the section
// leaves the ID to the anchor, without a warning.
func TestNothing(t *testing.T) {
	const section = `{"telemetry": {"installation_id": "ID"}}`
	for config, after := range map[string]string{
		`{"telemetry": null}`:                      section,
		`{"telemetry": {"installation_id": null}}`: section,
		`{"telemetry": false}`:                     "",
		`{"telemetry": "off"}`:                     "",
		`{"telemetry": 0}`:                         "",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, config)
			k := r.start()
			id := k.ID().String()
			lines := []string{generated(k.ID()), persisted(1), started(true)}
			if after == "" {
				lines = slices.Delete(lines, 1, 2)
			}
			r.log.want(lines...)
			r.wantState(k, id, true)
			r.wantFile(anchorPath, id+"\n")
			for range 2 {
				r.wantFile(configPath, cmp.Or(strings.Replace(after, "ID", id, 1), config))
				if st := k.Status(); after == "" && !strings.Contains(st.Reason, "turns telemetry off") || st.Unread {
					t.Errorf("%s: got %+v", config, st)
				}
				time.Sleep(3 * time.Hour)
			}
			if after != "" {
				return
			}
			if _, err := k.Reset(t.Context()); err != nil {
				t.Error(err)
			}
			r.wantFile(anchorPath, k.ID().String()+"\n")
			r.wantFile(configPath, config)
			r.stop(k)
			r.log.reset()
			again := r.start()
			r.log.want(started(true))
			r.wantState(again, k.ID().String(), true)
		})
	}
}

// TestIDWithSpaceAround is C12: an ID with white space or a byte order mark
// around it is that ID, and stays as it is written.
func TestIDWithSpaceAround(t *testing.T) {
	for _, padded := range []string{" " + knownID, knownID + "\n", "\ufeff" + strings.ToUpper(knownID) + "\r\n", "\u00a0\ufeff\t" + knownID} {
		synctest.Test(t, func(t *testing.T) {
			quoted, _ := json.Marshal(padded)
			config := strings.Replace(withID("X"), `"X"`, string(quoted), 1)
			r := newRig(t, config)
			k := r.start()
			r.log.want(started(true))
			time.Sleep(3 * time.Hour)
			r.wantState(k, knownID, true)
			r.wantFile(configPath, config)
			r.wantFile(anchorPath, knownID+"\n")
			r.stop(k)

			// In the anchor alone it is copied as the ID that it is.
			r = newRig(t, hostConfig)
			r.fs.WriteFile(anchorPath, []byte(padded), 0o640)
			k = r.start()
			time.Sleep(time.Hour)
			r.wantState(k, knownID, true)
			r.wantFile(configPath, withID(knownID))
			r.wantFile(anchorPath, padded)
			r.stop(k)

			r = newRig(t, "")
			r.fs.WriteFile(stateFile, []byte(padded), 0o640)
			k = r.start(inStateFile)
			r.log.want(started(true))
			time.Sleep(3 * time.Hour)
			r.wantState(k, knownID, true)
			r.wantFile(stateFile, padded)
		})
	}
}

// TestMomentInAWrite is C3: a config that another program is writing is read
// again.
func TestMomentInAWrite(t *testing.T) {
	for _, moment := range []string{"", " \n", hostConfig[:40]} {
		for _, id := range []string{"", knownID} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, " ")
				r.fs.WriteFile(configPath, []byte(moment), 0o640)
				final := hostConfig
				if id != "" {
					final = withID(id)
				}
				time.AfterFunc(2*time.Second, func() { r.fs.WriteFile(configPath, []byte(final), 0o640) })
				k := r.start()
				if id != "" {
					r.wantState(k, id, true)
					r.wantFile(configPath, final)
					return
				}
				r.wantPersisted(k, k.ID().String())
				r.wantFile(configPath, withID(k.ID().String()))
			})
		}
	}
}

// TestEmptyConfig is C3: a config that stays empty is never written, and the
// anchor holds the ID. Later content counts.
func TestEmptyConfig(t *testing.T) {
	for _, content := range []string{"", " \r\n\t", "\xef\xbb\xbf"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, " ")
			r.fs.WriteFile(configPath, []byte(content), 0o640)
			k := r.start()
			id := k.ID().String()
			why := func(does string) string { return does + " installation ID: *empty" }
			r.log.want(failed(why("read"), 1), failed(why("read"), 2), generated(k.ID()), failed(why("save"), 3), started(true))
			r.wantState(k, id, true)
			r.wantFile(configPath, content)
			r.wantFile(anchorPath, id+"\n")
			st := k.Status()
			if !st.Incomplete || st.Provisional || !st.Unread {
				t.Errorf("got %+v", st)
			}
			r.stop(k)

			r.log.reset()
			k = r.start()
			synctest.Wait()
			r.log.want(started(true))
			r.wantState(k, id, true)

			// The host writes its config, without an ID: ours is copied.
			time.Sleep(3 * time.Hour)
			r.wantFile(configPath, content)
			r.fs.WriteFile(configPath, []byte(hostConfig), 0o640)
			time.Sleep(2 * time.Hour)
			r.wantFile(configPath, withID(id))

			// With another ID: it takes precedence, and the anchor follows.
			r.fs.WriteFile(configPath, []byte(withID(otherID)), 0o640)
			time.Sleep(2 * time.Hour)
			r.wantPersisted(k, otherID)
		})
	}
}

// TestConfigStaysAsItIs is C2, C5 and C6 for a whole start.
func TestConfigStaysAsItIs(t *testing.T) {
	tests := map[string]struct{ before, after string }{
		"comments": {
			"// top\n{ /* in */ \"a\": 1, // behind\n}\n",
			"// top\n{ /* in */ \"a\": 1, // behind\n  \"telemetry\": {\n    \"installation_id\": \"ID\",\n  },\n}\n",
		},
		"CRLF, tabs, byte order mark": {
			"\xef\xbb\xbf{\r\n\t\"a\": 1e400\r\n}",
			"\xef\xbb\xbf{\r\n\t\"a\": 1e400,\r\n\t\"telemetry\": {\r\n\t\t\"installation_id\": \"ID\"\r\n\t}\r\n}",
		},
		"escapes, no final newline": {
			`{"\u0061":"\/\ud800","telemetry":{"x":[1.0,2.50]}}`,
			`{"\u0061":"\/\ud800","telemetry":{"x":[1.0,2.50],"installation_id":"ID"}}`,
		},
		"empty object": {"{}", `{"telemetry": {"installation_id": "ID"}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.before)
				r.fs.Chmod(configPath, 0o600)
				r.fs.Chown(configPath, 1000, 1001)
				r.fs.SetXattr(configPath, "user.note", "kept")
				want, _ := r.fs.Attributes(configPath)
				k := r.start()
				r.wantFile(configPath, strings.Replace(tt.after, "ID", k.ID().String(), 1))
				if got, _ := r.fs.Attributes(configPath); !reflect.DeepEqual(got, want) {
					t.Errorf("got attributes %+v, want %+v", got, want)
				}
				if a, _ := r.fs.Attributes(anchorPath); a.Mode&0o077 != 0 {
					t.Errorf("the anchor of a config with mode 0600 has mode %v", a.Mode)
				}
			})
		})
	}
}

// TestNotAnID is C7: an invalid value in the place of the ID is replaced once.
// The warning does not contain it.
func TestNotAnID(t *testing.T) {
	values := map[string]string{
		"empty":       `""`,
		"blank":       `"  "`,
		"not a UUID":  `"sekret"`,
		"braces":      `"{` + knownID + `}"`,
		"no dashes":   `"` + strings.ReplaceAll(knownID, "-", "") + `"`,
		"nil UUID":    `"00000000-0000-0000-0000-000000000000"`,
		"all ones":    `"ffffffff-ffff-ffff-ffff-ffffffffffff"`,
		"number":      `12345`,
		"true":        `true`,
		"object":      `{"sekret": [1]}`,
		"array":       `["` + knownID + `"]`,
		"one MB":      `"` + strings.Repeat("sekret", 1<<20/6) + `"`,
		"big number":  strings.Repeat("9", 10_000),
		"odd escapes": `"\ud800\u0000"`,
	}
	for name, value := range values {
		for _, anchored := range []bool{false, true} {
			if anchored && len(value) > 1<<19 {
				continue // slow
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := strings.Replace(withID("X"), `"X"`, value, 1)
					r := newRig(t, config)
					if anchored {
						r.fs.WriteFile(anchorPath, []byte(otherID+"\n"), 0o640)
					}
					k := r.start()
					synctest.Wait()
					id := k.ID().String()
					if anchored {
						r.log.want(replacing, started(true), persisted(1))
						r.wantPersisted(k, otherID)
					} else {
						r.log.want(replacing, generated(k.ID()), persisted(1), started(true))
					}
					r.wantFile(configPath, withID(id))
					r.wantPersisted(k, id)
					for _, line := range r.log.lines {
						if strings.Contains(line.text, "sekret") {
							t.Errorf("the log has the value: %.200s", line.text)
						}
					}
					r.log.reset()
					time.Sleep(3 * time.Hour)
					r.stop(k)
					r.start()
					r.log.want(started(true))
				})
			})
		}
	}
}

// TestNotAnIDThatStays: the warning about a value that cannot be replaced is
// not repeated with every check.
func TestNotAnIDThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID("none"))
		r.fs.Chmod(configPath, 0o444)
		k := r.start()
		why := "*file is read-only*"
		time.Sleep(24 * time.Hour)
		r.log.want(replacing, generated(k.ID()), failed(why, 1), inMemory(k.ID(), why), started(false))
		r.wantFile(configPath, withID("none"))
	})
}

// TestOtherSpelling is C8.
func TestOtherSpelling(t *testing.T) {
	for _, id := range []string{
		strings.ToUpper(knownID),
		"0B9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a",
		"0b9d6f1e-7a3c-1d52-9c41-5f6e7d8c9b0a", // version 1
		"0b9d6f1e-7a3c-7d52-fc41-5f6e7d8c9b0a", // version 7, another variant
		`0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0\u0061`,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, withID(id))
			k := r.start()
			want := strings.ToLower(strings.Replace(id, `\u0061`, "a", 1))
			r.wantState(k, want, true)
			time.Sleep(3 * time.Hour)
			r.wantFile(configPath, withID(id))
			r.wantFile(anchorPath, want+"\n")
			r.log.want(started(true))
		})
	}
}

// TestDamagedAnchor: an anchor without an ID is replaced, or follows the
// config.
func TestDamagedAnchor(t *testing.T) {
	for _, content := range []string{"", "\n", "rubbish\n", strings.Repeat("x", 5000), otherID[:20], "\x00\x00"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			r.fs.WriteFile(anchorPath, []byte(content), 0o640)
			k := r.start()
			r.wantPersisted(k, k.ID().String())
		})
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, withID(knownID))
			r.fs.WriteFile(anchorPath, []byte(content), 0o640)
			k := r.start()
			r.log.want(started(true))
			time.Sleep(2 * time.Hour)
			r.wantPersisted(k, knownID)
		})
	}
}

// TestAnchorNotAFile: if the anchor is a directory or a FIFO, only the config
// holds the ID.
func TestAnchorNotAFile(t *testing.T) {
	for name, set := range map[string]func(*faultfs.FS){
		"directory": func(f *faultfs.FS) { f.MkdirAll(anchorPath, 0o755) },
		"FIFO":      func(f *faultfs.FS) { f.Mknod(anchorPath, fs.ModeNamedPipe|0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				set(r.fs)
				k := r.start()
				r.log.wantTimed(in(0, generated(k.ID())), in(0, persisted(1)), in(0, started(true)))
				if got := idIn(r.fs.Crash(faultfs.LoseUnsynced)); got != k.ID().String() {
					t.Errorf("got ID %q in the config", got)
				}
				time.Sleep(3 * time.Hour)
				r.wantState(k, k.ID().String(), true)
			})
		})
	}
}
