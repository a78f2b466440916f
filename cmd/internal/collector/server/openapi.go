package server

import (
	_ "embed"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// description describes the interface. TestOpenAPI derives it from the handlers.
//
//go:embed openapi.json
var description []byte

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Cache-Control", "no-cache")
	respond.Body(w, r, description)
}
