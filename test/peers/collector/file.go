package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// fileConfig configures the exporter "file".
type fileConfig struct {
	Directory string `mapstructure:"directory"`
}

// newFileFactory makes the exporter that writes what arrived as lines of OTLP JSON, to
// traces.jsonl, metrics.jsonl and logs.jsonl. A batch is one line and one write, made
// before the sender gets its answer: what a process has exported when it ends stands in
// the files. It is not contrib's file exporter, whose tests need a module that proxies
// do not all hold; the bytes are made by the collector's own marshalers either way.
func newFileFactory() exporter.Factory {
	const level = component.StabilityLevelDevelopment
	return exporter.NewFactory(component.MustNewType("file"),
		func() component.Config { return &fileConfig{} },
		exporter.WithTraces(func(_ context.Context, _ exporter.Settings, c component.Config) (exporter.Traces, error) {
			return newLines(c, "traces.jsonl")
		}, level),
		exporter.WithMetrics(func(_ context.Context, _ exporter.Settings, c component.Config) (exporter.Metrics, error) {
			return newLines(c, "metrics.jsonl")
		}, level),
		exporter.WithLogs(func(_ context.Context, _ exporter.Settings, c component.Config) (exporter.Logs, error) {
			return newLines(c, "logs.jsonl")
		}, level),
	)
}

// lines appends to one file.
type lines struct {
	component.StartFunc
	mu   sync.Mutex
	file *os.File
}

func newLines(c component.Config, name string) (*lines, error) {
	path := filepath.Join(c.(*fileConfig).Directory, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &lines{file: file}, nil
}

// Shutdown closes the file.
func (l *lines) Shutdown(context.Context) error { return l.file.Close() }

// Capabilities says that the data are only read.
func (l *lines) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeTraces writes spans.
func (l *lines) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	return l.write((&ptrace.JSONMarshaler{}).MarshalTraces(td))
}

// ConsumeMetrics writes metrics.
func (l *lines) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	return l.write((&pmetric.JSONMarshaler{}).MarshalMetrics(md))
}

// ConsumeLogs writes log records.
func (l *lines) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	return l.write((&plog.JSONMarshaler{}).MarshalLogs(ld))
}

func (l *lines) write(line []byte, err error) error {
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.Write(append(line, '\n'))
	return err
}
