package dashboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// signInData is the data of the sign-in page.
type signInData struct {
	frame
	Next  string
	Wrong string
}

func (d *dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d.render(w, r, http.StatusOK, "signin.html", signInData{frame: d.frame(r, "Sign in"), Next: next(r.URL.Query().Get("next"))})
}

// next returns the path to go to after signing in, which is always on this site.
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
	status, text := http.StatusServiceUnavailable, "Tokens cannot be checked right now. Try again in a moment."
	_, tooMany := errors.AsType[*access.WaitError](err)
	switch {
	case errors.Is(err, access.ErrWrongToken):
		status, text = http.StatusForbidden, "Unknown token."
	case tooMany:
		status, text = http.StatusTooManyRequests, "Too many failed attempts from your address. Try again later."
	default:
		d.log.Warn("Sign-in failed", "error", err.Error())
	}
	d.render(w, r, status, "signin.html", signInData{frame: d.frame(r, "Sign in"), Next: to, Wrong: text})
}

func (d *dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	if err := d.opts.Access.SignOut(w, r); err != nil {
		d.log.Warn("Sign-out failed", "error", err.Error())
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
