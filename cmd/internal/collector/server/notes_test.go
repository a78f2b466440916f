package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// Only a token with the scope adds and removes notes. It cannot read them, and the
// public cannot either.
func TestNotes(t *testing.T) {
	r := newRig(t, nil)
	bot, err := r.tokens.Add(t.Context(), access.Machine, "bot", access.Note, "app")
	if err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/apps/app/notes"
	do := func(method, path, token, body string, want int, part string, header ...string) string {
		t.Helper()
		if token != "" {
			header = append(header, "Authorization: Bearer "+token)
		}
		w := r.do(method, path, here, body, header...)
		r.wants(w, want, part)
		return w.Body.String()
	}
	const good = `{"day":"2026-05-06","text":"moved <b>& more"}`
	do("POST", path, "", good, 401, "unauthorized")
	do("POST", path, r.token, good, 401, "unauthorized")
	do("POST", "/api/v1/apps/other/notes", bot, good, 401, "unauthorized")
	do("POST", path, bot, `{`, 400, "parameter")
	do("POST", path, bot, `{"text":"a","author":"me"}`, 400, "unknown field")
	do("POST", path, bot, `{"text":""}`, 400, "1 to 200 characters")
	do("POST", path, bot, `{"text":"a\nb"}`, 400, "printed")
	do("POST", path, bot, `{"text":"`+strings.Repeat("x", 201)+`"}`, 400, "1 to 200 characters")
	do("POST", path, bot, `{"text":"`+strings.Repeat("x", 5000)+`"}`, 400, "body")
	do("POST", path, bot, `{"text":"a","day":"6 May"}`, 400, "parameter")
	do("POST", path, bot, good, 403, "cross_origin", "Sec-Fetch-Site: cross-site")
	for range 2 {
		do("POST", path, bot, good, 200, `{"id":1,"day":"2026-05-06"`)
	}
	do("POST", path, bot, `{"text":"today"}`, 200, fmt.Sprintf(`"day":"%s"`, time.Now().UTC().Format("2006-01-02")))

	do("GET", path, "", "", 401, "unauthorized")
	do("GET", path, bot, "", 401, "unauthorized")
	do("GET", path+"?x=1", r.token, "", 400, "parameter")
	var list server.NoteList
	if err := json.Unmarshal([]byte(do("GET", path, r.token, "", 200, `"notes"`)), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Notes) != 2 || list.Notes[0] != (note.Note{ID: 1, Day: list.Notes[0].Day, Text: "moved <b>& more"}) {
		t.Errorf("got %+v", list)
	}
	public := r.app
	public.Public = true
	if err := r.c.UpdateApp(t.Context(), public); err != nil {
		t.Fatal(err)
	}
	do("GET", path, "", "", 401, "unauthorized")

	do("DELETE", path+"/1", r.token, "", 401, "unauthorized")
	do("DELETE", path+"/x", bot, "", 404, "not_found")
	do("DELETE", path+"/1", bot, "", 200, "moved")
	do("DELETE", path+"/1", bot, "", 404, "not_found")
}
