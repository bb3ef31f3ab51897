// Package config says what an ergon.yaml holds, as data, and reads it strictly.
//
//	app: retail
//	bus:
//	  url: ${NATS_URL:-embedded}
//	streams:
//	  RETAIL: { subjects: [retail.>], max_age: 24h }
//	tasks:
//	  score:
//	    source: { jetstream: { stream: RETAIL, subjects: [retail.lines] } }
//	    routes:
//	      scored: { jetstream: { stream: RETAIL_OUT, subject: retail-out.scored } }
//	    consumer:
//	      loop: { concurrency: 32 }
//
// [Load] reads a file, [Parse] what somebody read already, [Default] is what an
// empty file says. What is left out keeps its default, and a null is the same as
// leaving it out; a consumer's policy lies over policy.DefaultConsumer.
//
// # Strict
//
// An unknown key, a key that stands twice, a value of the wrong type and whatever
// contradicts itself is a fault, and all faults are reported at once, as *[Error]:
// each with its line, its column, the path of keys and the line of the file. What
// is odd but allowed comes from [Config.Warnings].
//
// # Variables
//
// ${NAME} and ${NAME:-default} in a value stand for an environment variable. As in
// a shell, the default is for a variable that is unset or empty; without one, an
// unset variable is a fault. $${ is the text ${. Keys and comments are left alone.
// The file's structure is read first and variables are filled in afterwards, so no
// value can add a key, a list or a comment. Outside quotes the result is read as
// if it stood there: ${N:-8} is a number. In quotes it is text.
//
// # What wins
//
// A [Flag] wins over an environment variable, which wins over the file, which wins
// over the default. Every key that holds one value, but for those below a name that
// is not a task's, has a variable: ERGON_ and its path in capitals, with underscores in the
// place of dots and of a task's dashes, as in ERGON_TASKS_SCORE_CONSUMER_LOOP_LIMIT.
// [Variables] lists them. Where the names of the environment are known, one that
// begins so and is no key's is a fault. [Resolve] takes all of this in, and knows
// afterwards where each value comes from: see [Resolved.Values].
//
// # Connecting
//
// bus says which servers, and as whom:
//
//	bus:
//	  url: tls://a.example:4222,tls://b.example:4222
//	  creds: ~/nats/retail.creds      # or nkey: FILE, or user and password, or token
//	  ca: /etc/ergon/ca.pem            # instead of the system's authorities
//	  cert: /etc/ergon/client.pem      # with key
//	  key: /etc/ergon/client-key.pem
//
// or leaves that to a context of the nats CLI:
//
//	bus: { context: prod }
//
// A key beside the context wins over what the context says; so each setting is
// that of its variable, else of ERGON_BUS_CONTEXT, else of the file, else of the
// file's context. bus.Config has the details.
//
// # Failing
//
// runner says what becomes of a task that fails as a whole, and of one that stands
// still:
//
//	runner: { restarts: 5, backoff: 1s, backoff_cap: 30s, watchdog: 1m }
//
// # Secrets
//
// A [Config] prints without its secrets, and so do the lines of the file that an
// error shows. Beside each secret may stand the name of a file with it, under its key
// with _file behind it: password_file, token_file, headers_file. So may it in the
// variable that ends in _FILE.
//
// # The schema and the reference
//
// [Schema] and docs/reference/configuration.md are generated from the types by tests,
// and so are never behind them: go test ./app/config -update.
package config
