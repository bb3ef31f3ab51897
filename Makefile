# The README's commands by short names; each is one `go` command.

.PHONY: run test check peers compose bench bench-compare

run: ## the demo, until Ctrl-C
	go run ./cmd/ergon demo

test: ## every test; needs Go and nothing else
	go test ./...

check: ## what CI checks, but for the peers
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go test -race -shuffle=on ./...
	cd benchmarks && go mod tidy -diff && go vet ./... && go test ./...

peers: ## tests against a real OpenTelemetry Collector, Prometheus, PostgreSQL, curl, wrk, nginx; it installs what is missing
	test/peers/install
	cd test/peers && go test ./...

compose: ## docker-compose.yml from end to end, with images of local binaries; needs a Docker engine
	test/compose/run

bench: ## benchmarks of the path's parts, ready for benchstat
	go test -run '^$$' -bench . -benchmem ./...

bench-compare: ## Ergon against hand-written loops; needs a quiet machine (benchmarks/README.md)
	cd benchmarks && go run . $(ARGS)
