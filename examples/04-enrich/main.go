// Command 04-enrich enriches the invoice lines of a retailer by three services: the region
// of a country from a bucket (kv), whether the customer exists from a database (sql), and
// the category of a description from a language model (llm). In the repository's root:
//
//	go run ./examples/04-enrich publish enrich.lines -f examples/04-enrich/ergon.yaml --file examples/02-retail/testdata/lines.csv
//	go run ./examples/04-enrich run -f examples/04-enrich/ergon.yaml
//
// The bus is a server in the process, the database is a file, customers.db, and both are
// filled at the first start. The model is yours: any endpoint that speaks OpenAI's chat API
// and takes a JSON Schema. ergon.yaml names one on this machine, where Ollama listens; for
// another one:
//
//	export ERGON_SERVICES_CATEGORIES_LLM_URL=https://api.openai.com/v1
//	export ERGON_SERVICES_CATEGORIES_LLM_MODEL=gpt-4o-mini
//	export ERGON_SERVICES_CATEGORIES_LLM_API_KEY_FILE=$HOME/.openai
//
// Without a model it shows what a service that is down looks like: its breaker opens,
// "go run ./examples/04-enrich health" says why the process is not ready, and lines wait,
// parked, until it is back. Lines of customer 21170, whom the database does not know, of a
// country without a region, and without a description become dead letters in any case;
// "go run ./examples/04-enrich dlq ls -f examples/04-enrich/ergon.yaml" has the reasons,
// once the run has ended.
//
// Package enrich has the task, the services behind it, and the module.
package main

import (
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/04-enrich/enrich"
)

func main() { cli.Main(enrich.Module) }
