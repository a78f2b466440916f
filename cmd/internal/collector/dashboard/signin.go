package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// signInData is the sign-in page.
type signInData struct {
	frame
	Next  string
	Wrong string
}

func (d *dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d.render(w, r, http.StatusOK, "signin.html", signInData{frame: d.frame(r, "Sign in"), Next: next(r.URL.Query().Get("next"))})
}

// next gives the path to go on to: one of this site.
func next(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (d *dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	to := next(r.PostFormValue("next"))
	err := d.opts.Access.SignIn(w, r, strings.TrimSpace(r.PostFormValue("token")))
	if err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	status, text := http.StatusServiceUnavailable, "That could not be looked up now. Try again in a moment."
	var wait *access.WaitError
	switch {
	case errors.Is(err, access.ErrWrongToken):
		status, text = http.StatusForbidden, "This token is not known."
	case errors.As(err, &wait):
		status, text = http.StatusTooManyRequests, "Too many wrong tokens came from your address. Try again later."
	default:
		d.log.Warn("Sign-in failed", "error", err.Error())
	}
	d.render(w, r, status, "signin.html", signInData{frame: d.frame(r, "Sign in"), Next: to, Wrong: text})
}

func (d *dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	if err := d.opts.Access.SignOut(w, r); err != nil {
		d.log.Warn("Session could not be ended", "error", err.Error())
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// hash stands for some texts.
func hash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
