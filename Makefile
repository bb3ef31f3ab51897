# The README's commands by short names; each is one `go` command.

.PHONY: run test check bench

run: ## the demo, until Ctrl-C
	go run ./cmd/ergon demo

test: ## every test; needs Go and nothing else
	go test ./...

check: ## what CI checks
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go test -race -shuffle=on ./...

bench: ## benchmarks of the path's parts, ready for benchstat
	go test -run '^$$' -bench . -benchmem ./...
