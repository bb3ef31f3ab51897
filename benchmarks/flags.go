package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/harness"
)

// options are what the command line says.
type options struct {
	compare         harness.Options
	svg, json, from string
	flat, scale     bool
	http            bool
	backlogs        []int64
	tasks, slots    []int
	paced           int
}

// byDefault are the contenders that are compared if none are named.
const byDefault = "raw,raw-wire,ergon"

// takes says which flags mean something in a mode that is asked for by a flag of its
// own. Without one, everything but these modes' own flags does.
var takes = map[string][]string{
	"from":  {"svg"},
	"flat":  {"n", "rounds", "timeout", "backlogs", "tasks", "slots", "paced", "profiles"},
	"scale": {"n", "rounds", "timeout"},
	"http":  {"n", "rounds", "timeout", "profiles"},
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	c := &o.compare
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Int64Var(&c.N, "n", 200_000, "transactions per run")
	flags.IntVar(&c.Rounds, "rounds", 5, "rounds, of which the medians are taken")
	names := flags.String("w", "W1,W2,W3,W4,W5", "workloads")
	who := flags.String("c", byDefault, "contenders, of "+strings.Join(compared, ", "))
	flags.IntVar(&c.Rate, "rate", 2000, "transactions per second in W3")
	flags.DurationVar(&c.For, "for", 20*time.Second, "how long W3 is published")
	flags.DurationVar(&c.Timeout, "timeout", 3*time.Minute, "how long one run may take")
	flags.StringVar(&c.Profiles, "profiles", "", "directory for CPU, allocation, block and mutex profiles of the contenders, which cost some time")
	flags.StringVar(&o.svg, "svg", "", "file for a plot of the medians")
	flags.StringVar(&o.json, "json", "", "file for every single result, which -from reads")
	flags.StringVar(&o.from, "from", "", "measure nothing, and show what -json wrote to this file")
	flags.BoolVar(&o.flat, "flat", false, "measure ergon's CPU per transaction by backlog, tasks and slots instead")
	flags.BoolVar(&o.scale, "scale", false, "measure one, two and three processes of ergon that share a consumer instead")
	flags.BoolVar(&o.http, "http", false, "measure requests over HTTP, taken and sent, instead")
	backlogs := flags.String("backlogs", "1000,10000,100000,1000000", "backlogs of -flat; an empty list leaves them out, also of -tasks and -slots")
	tasks := flags.String("tasks", "1,10,100", "tasks of -flat in one process")
	flags.IntVar(&o.paced, "paced", 0, "transactions per second that the tasks of -flat get together; 0 lets all wait from the beginning")
	slots := flags.String("slots", "1,16,256,4096", "slots of -flat")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q: there are only flags (see -h)", flags.Args())
	}
	if err := fit(flags); err != nil {
		return o, err
	}
	var err error
	if c.Workloads, err = harness.Select(*names); err != nil {
		return o, err
	}
	for name := range strings.SplitSeq(*who, ",") {
		if !slices.Contains(compared, name) {
			return o, fmt.Errorf("there is no contender %q: choose from %s, separated by commas", name, strings.Join(compared, ", "))
		}
		c.Contenders = append(c.Contenders, name)
	}
	var err1, err2, err3 error
	o.backlogs, err1 = numbers[int64]("backlogs", *backlogs)
	o.tasks, err2 = numbers[int]("tasks", *tasks)
	o.slots, err3 = numbers[int]("slots", *slots)
	return o, errors.Join(err1, err2, err3)
}

// numbers reads a list of them.
func numbers[N int | int64](name, list string) (all []N, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("-%s: %q is no number: write them as in 1000,10000", name, text)
		}
		all = append(all, N(n))
	}
	return all, nil
}

// fit refuses flags that would be ignored.
func fit(flags *flag.FlagSet) error {
	var set []string
	flags.Visit(func(f *flag.Flag) {
		if f.Value.String() != "false" {
			set = append(set, f.Name)
		}
	})
	mode := ""
	for _, name := range set {
		if takes[name] == nil {
			continue
		}
		if mode != "" {
			return fmt.Errorf("-%s and -%s exclude each other", mode, name)
		}
		mode = name
	}
	if mode == "" {
		for _, name := range []string{"backlogs", "tasks", "slots", "paced"} {
			if slices.Contains(set, name) {
				return fmt.Errorf("-%s means something with -flat only", name)
			}
		}
		return nil
	}
	for _, name := range set {
		if name != mode && !slices.Contains(takes[mode], name) {
			return fmt.Errorf("-%s means nothing with -%s, which takes -%s", name, mode, strings.Join(takes[mode], ", -"))
		}
	}
	return nil
}
