package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/rollcall-dev/rollcall"
)

func main() {
	rollcall.RunChild()
	service, err := rollcall.New(rollcall.Config{ConfigPath: "config.json", Isolate: true})
	if err != nil {
		log.Print(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, service.ID()) })
	log.Print(http.ListenAndServe("localhost:8080", nil))
}
