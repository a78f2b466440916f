SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# How often each benchmark runs; benchstat shows the medians.
COUNT ?= 6
BENCH ?= .
# How long each fuzzer runs.
FUZZTIME ?= 1m
# Lint checks beside the usual ones: not ST1005, since errors about a field begin with its name.
CHECKS ?= inherit,-ST1005
# The systems that everything has to build and vet for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64

.PHONY: help check test bench soak fuzz build cross clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: bin/staticcheck ## Check all but the full tests: format, vet, lint, modules, import arrows, other systems, races
	@files=$$(gofmt -l .); if [[ -n $$files ]]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	bin/staticcheck -checks '$(CHECKS)' ./...
	$(GO) fix -diff ./...
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	$(GO) test -count=1 ./internal/arrows
	@$(MAKE) --no-print-directory cross
	$(GO) test -race -short -timeout 10m ./...

test: ## Run all tests; what a machine cannot do is skipped loudly
	$(GO) test ./...

bench: bin/benchstat ## Measure figures against baselines, size, and the benchmarks (BENCH=regexp, COUNT=runs)
	ROLLCALL_BENCH=1 $(GO) test -v -count=1 -run '^TestFigures$$' ./internal/bench
	$(GO) test -v -count=1 -run '^TestHost$$' ./internal/size
	ROLLCALL_BENCH=1 $(GO) test -v -count=1 -timeout 1h -run '^TestFigures$$' ./collector/bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee bench.txt
	bin/benchstat bench.txt

soak: ## Run all tests with long storms and nothing skipped; needs root, 20 GB of memory, and three hours
	ROLLCALL_SOAK=1 ROLLCALL_REQUIRE_ALL=1 $(GO) test -count=1 -timeout 4h -p 1 ./...

fuzz: ## Run each fuzzer for FUZZTIME (1m)
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | \
	    while IFS=: read -r file func; do \
	        echo "$${func#func } in $$(dirname "$$file")"; \
	        $(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	    done

build: ## Build bin/rollcall, static and stripped
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/rollcall

cross: ## Build and vet everything for the systems in PLATFORMS
	@for platform in $(PLATFORMS); do \
	    echo "$$platform"; \
	    export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
	    $(GO) build ./...; \
	    $(GO) vet ./...; \
	done

clean: ## Remove what the other targets made
	rm -rf bin bench.txt

# The tools are pinned in tools/go.mod.
bin/staticcheck bin/benchstat: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../bin/ tool
	@touch $@
