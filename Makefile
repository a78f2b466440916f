SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# How often each benchmark runs; benchstat shows the medians.
COUNT ?= 6
BENCH ?= .
# How long each fuzzer runs.
FUZZTIME ?= 1m
# All lint checks but ST1005: an error about a field begins with its name.
CHECKS ?= inherit,-ST1005
# How far make later moves the clock ahead, in hours.
HOURS ?= 1000
# The systems that every package must build and vet for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64
# The packages whose rules a mutation tester checks; see docs/testing.md.
MUTATE ?= installid internal/keeper internal/idstore internal/anchor internal/jsonedit internal/replace \
    internal/consent internal/schedule cmd/internal/collector/engine

MODULE := github.com/rollcall-dev/rollcall

.PHONY: help quick check test later bench soak fuzz mutate tidy build cross release clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quick: ## Check a change within a minute: format, vet, and the short tests that need neither root nor network
	@files=$$(gofmt -l .); if [[ -n $$files ]]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	$(GO) vet work
	$(GO) test -short work

check: bin/staticcheck ## Check everything but the full tests: format, vet, lint, go.mod, other systems, races
	@files=$$(gofmt -l .); if [[ -n $$files ]]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	$(GO) vet work
	bin/staticcheck -checks '$(CHECKS)' ./... ./cmd/...
	$(GO) fix -diff work
	GOWORK=off $(GO) -C tools/release test -vet=all .
	@$(MAKE) --no-print-directory tidy
	@echo "the library with the oldest modules that it requires"
	GOWORK=off $(GO) vet ./...
	GOWORK=off $(GO) test -short ./...
	@$(MAKE) --no-print-directory cross
	$(GO) test -race -short -timeout 20m work

test: ## Run all tests; what a machine cannot do is skipped loudly
	$(GO) test work

# Moves time.Now ahead in the tests and in the Go programs that they build. Other programs, file times, and synctest
# bubbles, which start in 2000, keep the real clock.
later: ## Run all tests with Go's clock HOURS (1000) ahead: none may depend on the date
	@mkdir -p bin/later
	@real=$$($(GO) env GOROOT)/src/time/time.go; \
	    sed 's/^\tsec, nsec, mono := runtimeNow()$$/&\n\tif sec > 1700000000 { sec += $(HOURS) * 3600 }/' "$$real" >bin/later/time.go; \
	    grep -q 'sec += $(HOURS) ' bin/later/time.go; \
	    printf '{"Replace":{"%s":"%s"}}' "$$real" '$(CURDIR)/bin/later/time.go' >bin/later/overlay.json
	GOFLAGS="$$($(GO) env GOFLAGS) -overlay=$(CURDIR)/bin/later/overlay.json" $(GO) test -count=1 -timeout 30m work

bench: bin/benchstat ## Measure figures against baselines, size, and the benchmarks (BENCH=regexp, COUNT=runs)
	ROLLCALL_BENCH=1 $(GO) test -v -count=1 -run '^TestFigures$$' ./cmd/internal/test/bench
	$(GO) test -v -count=1 -run '^TestSize$$' ./cmd/internal/test/hosts
	ROLLCALL_BENCH=1 $(GO) test -v -count=1 -timeout 1h -run '^TestFigures$$' ./cmd/internal/collector/bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) work | tee bench.txt
	bin/benchstat bench.txt

soak: ## Run all tests with long storms and nothing skipped; needs root, 20 GB of memory, and three hours
	ROLLCALL_SOAK=1 ROLLCALL_REQUIRE_ALL=1 $(GO) test -count=1 -timeout 4h -p 1 work

fuzz: ## Run each fuzzer for FUZZTIME (1m)
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | \
	    while IFS=: read -r file func; do \
	        echo "$${func#func } in $$(dirname "$$file")"; \
	        $(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	    done

mutate: bin/gremlins bin/tidy/go.mod ## Change the packages in MUTATE line by line and see whether their own tests notice; takes hours
	@for package in $(MUTATE); do \
	    echo "== $$package"; \
	    module=.; flags=; \
	    case $$package in cmd/*) module=cmd; flags=-modfile=$(CURDIR)/bin/tidy/go.mod;; esac; \
	    (cd $$module && GOWORK=off GOFLAGS="$$flags -short" $(CURDIR)/bin/gremlins unleash --workers 1 \
	        --timeout-coefficient 20 ./$${package#cmd/}); \
	done

tidy: bin/tidy/go.mod
	GOWORK=off $(GO) mod tidy -diff
	GOWORK=off $(GO) -C cmd mod tidy -diff -modfile=$(CURDIR)/bin/tidy/go.mod
	GOWORK=off $(GO) -C tools mod tidy -diff
	GOWORK=off $(GO) -C tools/release mod tidy -diff

# The program's go.mod cannot replace the library, or go install would refuse
# it. A copy can, for as long as the release that it requires is not out.
bin/tidy/go.mod: cmd/go.mod cmd/go.sum
	@mkdir -p bin/tidy && cp cmd/go.mod cmd/go.sum bin/tidy/
	@$(GO) mod edit -replace $(MODULE)=$(CURDIR) $@

build: ## Build bin/rollcall, static and stripped
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/rollcall

cross: ## Build and vet everything for the systems in PLATFORMS
	@for platform in $(PLATFORMS); do \
	    echo "$$platform"; \
	    export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
	    $(GO) build ./... ./cmd/...; \
	    $(GO) vet work; \
	done

release: bin/release bin/cyclonedx-gomod ## Build all files of a release into dist/, twice, and compare them (VERSION=v0.1.0)
	bin/release -version '$(VERSION)' -platforms '$(PLATFORMS)' -root . -out dist -sbom bin/cyclonedx-gomod

clean: ## Remove what the other targets made
	rm -rf bin bench.txt dist

# The tools are pinned in tools/go.mod, and those of a release in tools/release/go.mod.
bin/staticcheck bin/benchstat bin/gremlins: tools/go.mod tools/go.sum
	GOWORK=off $(GO) -C tools build -o ../bin/ $$(GOWORK=off $(GO) -C tools list tool | grep '/$(@F)$$')
	@touch $@

bin/cyclonedx-gomod bin/helm: tools/release/go.mod tools/release/go.sum
	GOWORK=off $(GO) -C tools/release build -o ../../bin/ $$(GOWORK=off $(GO) -C tools/release list tool | grep '/$(@F)$$')
	@touch $@

bin/release: $(wildcard tools/release/*)
	GOWORK=off $(GO) -C tools/release build -o ../../$@ .
