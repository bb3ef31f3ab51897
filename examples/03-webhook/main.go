// Command 03-webhook takes payments as signed webhooks, scores their risk, and delivers
// the scores to an HTTP endpoint. How to send it one stands in its ergon.yaml.
package main

import (
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/03-webhook/payments"
)

func main() { cli.Main(payments.Module) }
